"""The words that say how a sentence is meant: joined, denied, asked, made to depend on something.

Without accents; `_` stands for a space.
"""

from __future__ import annotations

from madre.language.numerals import words

FILLERS = words(
    """
    el la los las lo un una unos unas de del al a en con para por que se mi mis tu tus su sus me nos te le les este
    esta estos estas ese esa eso esto aquel favor ya ahora mismo ahorita aqui hay porfa porfavor gracias hola oye
    oiga vale ok okay bien bueno venga anda si vx11 rapido rapidamente inmediatamente urgente urgentemente solo
    solamente llamado llamada nombre nuevo nueva actual actuales archivo fichero haz haga hagas hacer realiza
    realizar codigo durante tipo disponible disponibles instalado instalados the an of to in on at with for my your
    our their its it this that these those please pls now just right away hey hi hello thanks thank you kindly here
    there is are quickly immediately only named called new current from into as them him her us do perform some any
    which who file code there's i'd then also tambien besides ademas available installed over through via about down
    up by more longer mas modo mode running corriendo loaded cargados registered registrados existing together
    another otros otras juntos yes yeah yep sure claro perfecto perfect great confirmo confirm adelante abierto
    abierta abiertos abiertas despierto despierta despiertos despiertas activos activas encendido encendida awake
    """
)
WISHES = words(  # what may stand before the verb of an order
    """
    quiero_que quiero necesito_que necesito me_gustaria_que me_gustaria quisiera_que quisiera tienes_que hay_que
    debes vamos_a haz_el_favor_de procede_a asegurate_de intenta trata_de i_want_you_to i_want_to i_need_you_to
    i_need_to i_would_like_you_to i_would_like_to i'd_like_you_to i'd_like_to you_must you_have_to lets let's
    go_ahead_and make_sure_to be_sure_to try_to por_favor right_now ahora_mismo en_seguida cuanto_antes
    as_soon_as_possible asap como_maximo como_mucho at_most no_more_than no_mas_de up_to maximo max un_maximo_de
    a_maximum_of a_lo_sumo menos_de less_than
    """
)
NEGATORS = words(
    """
    no not nunca jamas never dont don't don_t doesnt doesn't didnt didn't wouldnt wouldn't couldnt couldn't cannot
    cant can't wont won't shouldnt shouldn't mustnt mustn't ni nor neither tampoco nop nope noo nah evita evitar
    evite avoid olvida olvides olvidate olvidar forget deja_de dejar_de dejes_de en_vez_de en_lugar_de instead_of
    rather_than prohibido forbidden refrain broma kidding nevermind never_mind olvidalo ninguno ninguna none nobody
    nadie nothing nada n't do_n't do_nt
    """
)
WITHOUT = frozenset(["sin", "without"])  # negates a verb that follows; before a noun it is a wish like any other
CONTRASTS = words("pero sino mejor simplemente but instead rather however en_su_lugar en_cambio")
JOINERS = words("y e and luego despues then entonces tambien also ademas plus & afterwards despues_de_eso")
CHOICES = words("o u or either bien_o")
CONDITIONS = words("si if en_caso_de in_case_of in_case en_caso_de_que siempre_que provided_that")
REPEATING = words(
    """
    cada every daily diariamente a_diario semanalmente weekly hourly nightly monthly mensualmente todos_los_dias
    todas_las_noches todas_las_horas todas_las_mananas todas_las_tardes todas_las_semanas todos_los_meses each_day
    each_night each_morning each_evening each_week each_month each_hour los_fines_de_semana entre_semana on_weekends
    on_weekdays at_weekends una_vez_al_dia una_vez_a_la_semana once_a_day twice_a_day once_a_week once_an_hour
    """
)
UNKNOWABLE = REPEATING | words(  # what an act may hang on and nobody here can tell
    """
    cuando when whenever unless salvo_que a_menos_que hasta_que until_after mientras while en_cuanto as_soon_as tras
    despues_de_que after before antes_de_que antes_de antes_del despues_de despues_del
    """
)
EXCEPTIONS = words("menos excepto salvo except excepting excluding but_not other_than apart_from")
OTHERWISE = words(  # before what is to be done where a condition does not hold: nothing here plans two branches
    """
    otherwise else de_lo_contrario en_caso_contrario caso_contrario de_otro_modo de_otra_manera de_otra_forma
    en_otro_caso failing_that
    """
)
BEFORE_ELSE = words("nothing anything everything something nobody anybody who what")  # `nothing else` is no branch
PRONOUNS = words("lo la los las le les it them")
MODALS = words(  # before the verb they make an order a question, wherever they stand
    """
    can could would should will may might shall puedes podrias puede podria podeis podemos pueden podrian podriais
    puedo podre podras podra podriamos podremos podran pudieras pudiera pudierais pudieran sabes sabrias quieres
    querrias querria debo deberia deberias deberiamos deberian debemos se_puede es_posible te_importa te_importaria
    os_importa le_importa serias do_you do_i do_we do_they have_you have_we did_you will_you
    """
)
IMPERSONAL = words(  # those of them that also tell what a thing does
    "can could would should will may might shall puede podria pueden podrian podra podran querria deberia deberian"
)
ASKING = MODALS | words(  # at the head of a sentence
    """
    que quien quienes como cual cuales cuanto cuanta cuantos cuantas donde cuando por_que acaso what which who whose
    whom how why where when is are was were does did am has tienes tiene existe existen es son esta estan estas
    conviene hay hubo funciona whats what's hows how's isnt isn't arent aren't
    """
)
INTERROGATIVES = words(  # those of them that ask behind any filler too: `thanks, how do I …`
    """
    quien quienes como cual cuales cuanto cuanta cuantos cuantas donde por_que acaso what whose whom how why where
    whats what's hows how's
    """
)
ASKED = words("i you we they one tu usted ustedes vosotros yo nosotros")  # who is, and who asks
RELATIVE = words("that which who whom que")  # `the models that can run here` asks nothing
EMBEDDED = words(  # anywhere before what they ask about
    """
    how_to how_do how_can how_would why whether wonder what_happens what_if que_pasa que_pasaria que_ocurre
    por_que_no como_se como_puedo como_podria como_hago pregunto
    """
)
FAILING = words(  # what is denied of a thing to say why it is wanted: `restart hermes, it does not answer`
    """
    funciona funcionan responde responden contesta contestan arranca reacciona work works working respond responds
    responding answer answers answering react reacts reacting
    """
)
OTHERS = words("else other others otro otra otros otras cosa cosas more")  # `and nothing else`
WONDERING = words("como how")  # the same after a verb of telling
DESTRUCTIVE = tuple(  # beginnings of words: whatever the ending, somebody speaks of losing something
    words(
        """
        borra borre borro elimin destru formate purg delet remov eras wip destroy uninstall desinstal vaci trunc
        drop sobrescrib sobreescrib overwrit suprim nuke shred mata mate kill terminat aniquil arras discard descart
        format reset resete quita quite rm mkfs trash
        """
    )
)
LOSING = words("delete kill wipe")  # the concepts of the same
HARMLESS = words("borrador borradores material materials mates terminal rms formato formatos formats")
SPOKEN_SERVICES = {  # what people call services
    "tentaculo": "tentaculo_link",
    "tentaculo_link": "tentaculo_link",
    "gateway": "tentaculo_link",
    "pasarela": "tentaculo_link",
    "operador": "operator",
    "manifestador": "manifestator",
    "hormiguero": "hormiguero",
}

ALL: frozenset[str] = frozenset().union(
    *(FILLERS, WISHES, NEGATORS, WITHOUT, CONTRASTS, JOINERS, CHOICES, CONDITIONS, UNKNOWABLE, EXCEPTIONS),
    *(OTHERWISE, PRONOUNS, ASKING, EMBEDDED),
)
