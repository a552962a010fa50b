"""The words: each concept of the grammar with its forms in Spanish and English, without accents.

A phrase of the registry is written in concepts; a sentence says one of their forms. `_` stands for a space. Spanish
verbs stand as infinitives and are conjugated here (`cerrar/cierr`: with the stem of the stressed forms); what is
irregular stands among the plain words. A word may belong to several concepts: the phrase decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from madre.language import marks


class Verb(NamedTuple):
    """A concept that can be asked for: Spanish infinitives, and forms as they are."""

    spanish: str
    plain: str


VERBS: dict[str, Verb] = {
    "open": Verb("abrir encender/enciend prender/prend levantar", "open raise turn_on switch_on power_on bring_up"),
    "wake": Verb("despertar/despiert", "wake wake_up"),
    "close": Verb("cerrar/cierr", "close"),
    "sleep": Verb("dormir/duerm adormecer", "sleep put_to_sleep"),
    "keep": Verb("dejar mantener", "keep leave hold manten mantenga mantengas"),
    "hold": Verb("retener", "hold"),
    "extend": Verb("extender/extiend alargar ampliar prolongar renovar/renuev", "extend prolong lengthen renew"),
    "add": Verb("agregar anadir sumar", "add"),
    "start": Verb("iniciar arrancar comenzar/comienz", "start boot launch"),
    "stop": Verb("parar apagar detener", "stop halt shut_down turn_off switch_off power_off deten detenga detengas"),
    "restart": Verb("reiniciar rearrancar", "restart reboot bounce"),
    "set": Verb("cambiar pasar establecer configurar ajustar usar", "set change switch use put pon poner ponga pongas"),
    "apply": Verb("aplicar imponer", "apply enforce"),
    "enable": Verb("activar habilitar", "enable activate"),
    "disable": Verb("desactivar deshabilitar inhabilitar", "disable deactivate"),
    "delete": Verb(
        "borrar eliminar quitar suprimir destruir desinstalar remover/remuev",
        "delete remove erase destroy uninstall drop get_rid_of destruye destruya destruyas deshazte_de",
    ),
    "kill": Verb("matar terminar finalizar aniquilar", "kill terminate end abort"),
    "cancel": Verb("cancelar anular abortar", "cancel revoke abort"),
    "load": Verb("cargar precargar", "load preload warm_up"),
    "unload": Verb("liberar sacar", "unload evict free"),
    "pull": Verb("descargar bajar obtener conseguir/consig", "pull download fetch get bring trae traer traiga traigas"),
    "install": Verb("instalar", "install add"),
    "show": Verb(
        "mostrar/muestr listar ensenar consultar visualizar",
        "show list display see view tell give_me give_us print ver di dime diga decir dame danos lista listado listing",
    ),
    "check": Verb("comprobar/comprueb revisar chequear mirar vigilar", "check inspect chequeo revision comprobacion"),
    "verify": Verb("verificar validar", "verify validate verificacion verification"),
    "scan": Verb(
        "escanear analizar examinar inspeccionar rastrear medir/mid",
        "scan analyze analyse examine measure escaneo analisis analysis",
    ),
    "test": Verb("probar/prueb testear", "test try"),
    "discover": Verb("descubrir buscar encontrar/encuentr detectar", "discover find search look_for detect"),
    "prepare": Verb("preparar crear generar elaborar", "prepare create generate make propose draft build propon"),
    "run": Verb("ejecutar correr lanzar", "run execute launch"),
    "ask": Verb("preguntar consultar", "ask query"),
    "summarise": Verb("resumir", "summarise summarize"),
    "translate": Verb("traducir", "translate traduzca traduzcas"),
    "write": Verb("escribir redactar", "write compose"),
    "notify": Verb("notificar avisar alertar informar", "notify alert inform warn"),
    "send": Verb("enviar mandar", "send"),
    "visit": Verb("visitar navegar", "visit browse go_to"),
    "master": Verb("masterizar remasterizar", "master remaster"),
    "mix": Verb("mezclar", "mix blend"),
    "restore": Verb("restaurar reparar", "restore denoise repair"),
    "clean": Verb("limpiar", "clean clean_up"),
    "convert": Verb("convertir/conviert transformar", "convert transcode"),
    "backup": Verb("respaldar", "backup back_up copia_de_seguridad respaldo copia_de_respaldo"),
    "turn": Verb("", "turn shut power"),
    "wipe": Verb("vaciar formatear purgar resetear", "wipe purge format nuke truncate reset empty shred overwrite"),
}

NOUNS: dict[str, str] = {
    "window": "ventana ventanas window windows",
    "power": "energia power",
    "service": "servicio servicios service services",
    "model": "modelo modelos model models llm",
    "catalogue": "catalogo catalogue catalog",
    "task": "tarea tareas trabajo trabajos hija hijas proceso task tasks job jobs daughter daughters process",
    "plan": "plan planes plans",
    "policy": "politica politicas policy policies",
    "mode": "modo modos mode modes",
    "status": "estado situacion status state",
    "health": "salud health healthy",
    "system": "sistema flota maquina system fleet machine everything",
    "database": "base_de_datos bd bbdd db database",
    "maintenance": "mantenimiento maintenance upkeep",
    "audit": "auditoria audit cadena_de_auditoria audit_chain audit_trail",
    "security": "seguridad security",
    "drift": "drift deriva derivas desviacion desviaciones drifts",
    "patch": "parche parches patch patches",
    "incidents": "incidente incidentes incidencia incidencias incident incidents",
    "problems": "problema problemas error errores fallo fallos problem problems errors fault faults failure failures",
    "audio": "audio audios pista pistas cancion track tracks song recording grabacion",
    "page": "pagina web page site website sitio",
    "message": "mensaje message aviso notice",
    "program": "programa programas program programs programme",
    "python": "python py",
    "command": "comando command",
    "shell": "shell bash script",
    "folder": "carpeta directorio folder directory",
    "noise": "ruido ruidos noise hiss hum",
    "memory": "memoria ram memory",
    "cpu": "cpu procesador processor",
    "resources": "recursos resources",
    "autonomy": "autonomia autonomy autonomo autonoma autonomous modo_autonomo autonomous_mode",
    "max_retries": "reintento reintentos intentos retry retries",
    "on": "on up en_marcha",
    "off": "off down",
    "all": "todo toda todos todas all everything",
    "thing": (  # what may be named and is none of ours: never taken for a name
        "archivos ficheros files disco discos disk disks datos data tabla tablas table tables logs registros usuario "
        "usuarios user users token tokens contenedor contenedores container containers cosas things servidor server"
    ),
    # values of choices and flags; those that are called like a verb have a `=` before them
    "=hold": "sin_limite sin_fin indefinidamente indefinitely forever sin_caducidad without_limit without_end",
    "eco": "eco ahorro economy economico",
    "balanced": "balanced equilibrado equilibrada normal",
    "high_perf": "high_perf high_performance alto_rendimiento maximo_rendimiento performance rendimiento",
    "critical": "critical critico critica",
    "auto": "auto automatico automatica automatic",
    "solo_madre": "solo_madre madre_sola madre_only",
    "full": "full completa completo",
    "shadow": "sombra shadow",
    "active": "activo activa active real",
    "network": "red internet network con_red",
    "dry_run": "dry_run en_seco simulacro simulacion simulated",
    "=apply": "aplicando applying aplicalo",
    "=verify": "verificando verifying hashes hash",
}


class Vocabulary(NamedTuple):
    """Forms to concepts: of one word, and of several (by their words)."""

    words: dict[str, frozenset[str]]
    phrases: dict[tuple[str, ...], str]


@cache
def vocabulary() -> Vocabulary:
    """All forms of the lexicon."""
    words: dict[str, set[str]] = {}
    phrases: dict[tuple[str, ...], str] = {}
    for concept, form in _forms():
        words.setdefault(form, set()).add(concept)
    for form in (*words, *marks.ALL):
        if "_" in form:
            phrases[tuple(form.split("_"))] = form
    return Vocabulary({form: frozenset(concepts) for form, concepts in words.items()}, phrases)


def _forms() -> Iterator[tuple[str, str]]:
    for concept, verb in VERBS.items():
        for infinitive in verb.spanish.split():
            for form in conjugated(infinitive):
                yield concept, form
        for form in verb.plain.split():
            yield concept, form
    for concept, forms in NOUNS.items():
        for form in forms.split():
            yield concept, form


def conjugated(entry: str) -> tuple[str, ...]:
    """The forms in which an order is said: infinitive, imperatives, subjunctives (`quiero que abras`).

    >>> conjugated("cerrar/cierr")
    ('cerrar', 'cierra', 'cierre', 'cierres', 'cierren', 'cerremos', 'cerrad')
    """
    infinitive, _, stressed = entry.partition("/")
    stem, ending = infinitive[:-2], infinitive[-2:]
    strong = stressed or stem
    if ending == "ar":
        soft = _softened(strong)
        return infinitive, strong + "a", soft + "e", soft + "es", soft + "en", _softened(stem) + "emos", stem + "ad"
    return infinitive, strong + "e", strong + "a", strong + "as", strong + "an", stem + "amos", stem + ending[0] + "d"


def _softened(stem: str) -> str:
    """How a stem is written before `e`: apag-ar, apagu-e."""
    for hard, soft in (("c", "qu"), ("g", "gu"), ("z", "c")):
        if stem.endswith(hard):
            return stem[:-1] + soft
    return stem
