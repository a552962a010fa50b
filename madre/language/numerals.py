"""The words of counting and of time, Spanish and English, without accents."""

from __future__ import annotations

from datetime import time


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def _table(text: str) -> dict[str, int]:
    """Words to the place of their group in `text`."""
    return {word: place for place, group in enumerate(text.split("|")) for word in group.split()}


SMALL: dict[str, int] = _table(
    "cero zero|uno un una one|dos two|tres three|cuatro four|cinco five|seis six|siete seven|ocho eight|nueve nine|"
    "diez ten|once eleven|doce twelve|trece thirteen|catorce fourteen|quince fifteen|dieciseis sixteen|"
    "diecisiete seventeen|dieciocho eighteen|diecinueve nineteen|veinte twenty|veintiuno veintiun veintiuna|"
    "veintidos|veintitres|veinticuatro|veinticinco|veintiseis|veintisiete|veintiocho|veintinueve"
)
SMALL |= {"treinta": 30, "thirty": 30, "cuarenta": 40, "forty": 40, "cincuenta": 50, "fifty": 50, "sesenta": 60}
SMALL |= {"sixty": 60, "setenta": 70, "seventy": 70, "ochenta": 80, "eighty": 80, "noventa": 90, "ninety": 90}
SMALL |= {"doscientos": 200, "trescientos": 300, "cuatrocientos": 400, "quinientos": 500, "seiscientos": 600}
HUNDRED, THOUSAND = words("cien ciento hundred"), words("mil thousand")
ARTICLES, AND, COUPLE = words("un una a an one"), words("y and"), words("par couple")
FRACTIONS = {"media": 0.5, "medio": 0.5, "half": 0.5, "cuarto": 0.25, "quarter": 0.25}
FRACTIONS |= {"cuartos": 0.25, "quarters": 0.25}
UNITS = dict.fromkeys(words("s seg segs segundo segundos sec secs second seconds"), 1.0)
UNITS |= dict.fromkeys(words("m min mins minuto minutos minute minutes"), 60.0)
UNITS |= dict.fromkeys(words("h hr hrs hora horas hour hours"), 3600.0)
UNITS |= dict.fromkeys(words("d dia dias day days"), 86_400.0)
UNITS |= dict.fromkeys(words("semana semanas week weeks"), 604_800.0)
MEBIBYTES = dict.fromkeys(words("mb mib mega megas megabyte megabytes"), 1.0)
MEBIBYTES |= dict.fromkeys(words("gb gib giga gigas gigabyte gigabytes"), 1024.0)

AFTER, LASTING, UNTIL = words("en in dentro"), words("durante por for"), words("hasta until till til")
LATER = frozenset([("despues",), ("later",), ("from", "now"), ("mas", "tarde"), ("desde", "ahora")])
FROM_NOW = frozenset([("from", "now"), ("desde", "ahora")])
AGO = words("hace ago")
FROM_A_DAY = words("from after desde despues despues_de despues_del tras")  # `a week from friday`
EACH = words("los todos cada every each")  # before a day of the week, of which there are many then
DAYS = {"hoy": 0, "today": 0, "manana": 1, "tomorrow": 1}
WEEKDAYS = _table(
    "lunes monday|martes tuesday|miercoles wednesday|jueves thursday|viernes friday|sabado saturday|domingo sunday"
)
BEFORE_WEEKDAYS = words("el este the this coming next proximo siguiente")  # `el próximo lunes`, `this coming friday`
NEXT = words("next proximo siguiente")  # said on a Monday, `next monday` is not that day
AFTER_WEEKDAYS = (("que", "viene"), ("proximo",), ("siguiente",))
OF_NEXT_WEEK = tuple(
    tuple(said.split())
    for said in (
        *("de la semana que viene", "de la proxima semana", "de la semana proxima", "de la semana siguiente"),
        *("next week", "of next week"),
    )
)
VAGUE_DAYS = tuple(  # weeks and months have many days
    tuple(said.split())
    for said in (
        *("next week", "next month", "next year", "the weekend", "this weekend"),
        *("next weekend", "semana que viene", "semana proxima", "semana siguiente", "proxima semana"),
        *("siguiente semana", "mes que viene", "proximo mes", "ano que viene", "proximo ano"),
        *("fin de semana", "finde"),
    )
)
MONTHS = words(
    """
    enero febrero marzo abril mayo junio julio agosto septiembre setiembre octubre noviembre diciembre january february
    march april may june july august september october november december
    """
)
WEEKDAYS_ALL = words("mondays tuesdays wednesdays thursdays fridays saturdays sundays sabados domingos")
NAMED_TIMES = {"mediodia": time(12), "noon": time(12), "midday": time(12), "medianoche": time(0), "midnight": time(0)}
PARTS_OF_DAY = {"manana": time(9), "morning": time(9), "tarde": time(16), "afternoon": time(16)}
PARTS_OF_DAY |= {"noche": time(21), "evening": time(20), "tonight": time(21)}
BARE_PARTS = words("morning afternoon evening")  # `monday morning`
HALF_DAYS = {"am": 0, "manana": 0, "madrugada": 0, "morning": 0}
HALF_DAYS |= {"pm": 12, "tarde": 12, "noche": 12, "afternoon": 12, "evening": 12}
NIGHT = words("noche")

_TABLES = (SMALL, FRACTIONS, UNITS, MEBIBYTES, DAYS, WEEKDAYS, NAMED_TIMES, PARTS_OF_DAY, HALF_DAYS)
KNOWN: frozenset[str] = frozenset().union(
    *(table.keys() for table in _TABLES),
    *(HUNDRED, THOUSAND, ARTICLES, AND, COUPLE, AFTER, LASTING, UNTIL, AGO, EACH, WEEKDAYS_ALL, *LATER),
    words("pasado proximo next punto past siguiente viene coming weekend finde month mes year ano proxima"),
    MONTHS,
)
