"""The classes of simulated B-scans: which signs of disease each is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from fewcase.ingest.simulate import oct_inner as inner
from fewcase.ingest.simulate import oct_lesions as outer
from fewcase.ingest.simulate import oct_vitreous as vitreous
from fewcase.ingest.simulate.oct_retina import Retina

Sign = Callable[[Retina], object]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a class shows.

    Attributes
    ----------
    shows
        In one line.
    signs
        Drawn in each scan, in this order.
    sometimes
        Further signs, each with the share of eyes that have it.
    severity
        Least and greatest severity of an eye.
    """

    shows: str
    signs: tuple[Sign, ...] = ()
    sometimes: tuple[tuple[float, Sign], ...] = ()
    severity: tuple[float, float] = (0.12, 1.1)


_few_drusen = partial(outer.drusen, number=(1, 4))
_little_fluid = partial(outer.subretinal_fluid, height=(12, 90), half=(250, 600))
_serous = partial(outer.detachment, height=(40, 140), half=(250, 500))

CLASSES: dict[str, Recipe] = {
    "NORMAL": Recipe("all layers in order"),
    "CNV": Recipe(
        "neovascular membrane: uneven detachment or bright material, fluid, thick retina",
        (outer.neovascular_membrane,),
        ((0.4, partial(inner.cysts, number=(1, 6), reach=700)), (0.4, _few_drusen)),
    ),
    "DME": Recipe(
        "diabetic macular oedema: thick retina, dark cysts, bright exudates",
        (partial(inner.swelling, by=(25, 170)), inner.cysts),
        ((0.7, inner.exudates), (0.25, _little_fluid)),
    ),
    "DRUSEN": Recipe("small domes below the pigment epithelium", (outer.drusen,)),
    "AS": Recipe(
        "angioid streaks: narrow breaks of Bruch's membrane",
        (outer.epithelium_breaks,),
        ((0.25, partial(outer.material, height=(25, 80), half=(250, 500))),),
    ),
    "BEST": Recipe("vitelliform dystrophy: a dome of bright yolk", (outer.dome_of_yolk,)),
    "BRVO": Recipe(
        "branch vein occlusion: one side of the fovea thick and cystic",
        (inner.half_of_retina,),
        ((0.4, inner.exudates), (0.3, _little_fluid)),
    ),
    "CRVO": Recipe(
        "central vein occlusion: all of the retina thick and cystic",
        (
            partial(inner.swelling, by=(120, 330), half=(2200, 3200)),
            partial(inner.cysts, number=(6, 18), reach=1800),
        ),
        ((0.5, _little_fluid),),
    ),
    "CSC": Recipe(
        "central serous chorioretinopathy: a smooth dome of fluid over a thick choroid",
        (
            partial(outer.subretinal_fluid, half=(800, 1500), reach=500, tongues=True),
            partial(outer.thick_choroid, by=(40, 200)),
        ),
        ((0.35, _serous),),
    ),
    "DSM": Recipe("dome-shaped macula: the wall bulges inward", (outer.inward_dome,)),
    "ERM": Recipe("membrane on a wrinkled inner surface", (vitreous.epiretinal_membrane,)),
    "FCE": Recipe("focal excavation of the choroid", (outer.excavation,)),
    "GA": Recipe(
        "geographic atrophy: no pigment epithelium, bright choroid below",
        (outer.atrophy,),
        ((0.6, _few_drusen), (0.2, outer.tubulation)),
    ),
    "GLAUCOMA": Recipe("thin nerve fibres and ganglion cells", (inner.thin_nerve,)),
    "LMH": Recipe(
        "lamellar hole: the inner fovea open and cleft",
        (inner.lamellar_hole,),
        ((0.5, partial(vitreous.epiretinal_membrane, wrinkled=0.4, fill=0.0)),),
    ),
    "MACTEL": Recipe(
        "macular telangiectasia: cavities without swelling, broken photoreceptors",
        (inner.cavities,),
    ),
    "MH": Recipe(
        "macular hole through the full thickness, with raised rims", (inner.macular_hole,)
    ),
    "MYOPIA": Recipe("posterior staphyloma over a thin choroid", (outer.staphyloma,)),
    "NEVUS": Recipe(
        "dark mass of the choroid that lifts the retina",
        (outer.mass,),
        ((0.3, _little_fluid), (0.3, _few_drusen)),
    ),
    "PACHY": Recipe(
        "pachychoroid: a thick choroid with wide vessels, a small detachment at most",
        (partial(outer.thick_choroid, by=(160, 420)),),
        ((0.5, partial(outer.detachment, height=(15, 50), half=(200, 450))),),
    ),
    "PCV": Recipe(
        "polypoidal vasculopathy: a peaked detachment of the epithelium, fluid, exudates",
        (
            partial(outer.detachment, height=(160, 420), half=(350, 700), content=72, peaked=True),
            _little_fluid,
        ),
        ((0.6, inner.exudates), (0.4, partial(outer.thick_choroid, by=(60, 200)))),
    ),
    "PED": Recipe(
        "serous detachment of the pigment epithelium",
        (partial(outer.detachment, height=(90, 380)),),
        ((0.3, _few_drusen),),
    ),
    "PSH": Recipe(
        "pseudohole: a steep pit below a membrane",
        (
            inner.steep_pit,
            partial(vitreous.epiretinal_membrane, wrinkled=0.5, fill=0.0),
        ),
    ),
    "PVD": Recipe("detached vitreous: a line before the retina", (vitreous.detached_vitreous,)),
    "RAO": Recipe("artery occlusion: bright, swollen inner layers", (inner.bright_inner_layers,)),
    "RAP": Recipe(
        "angiomatous proliferation: a bright focus and cysts over a detachment",
        (
            partial(outer.detachment, height=(50, 190), half=(300, 600), content=60, reach=400),
            partial(inner.cysts, number=(2, 8), reach=600),
            inner.bright_focus,
        ),
        ((0.5, _few_drusen),),
    ),
    "RD": Recipe("retinal detachment: the retina lifted in folds", (outer.retinal_detachment,)),
    "RP": Recipe(
        "retinitis pigmentosa: photoreceptors at the fovea alone",
        (partial(outer.photoreceptor_loss, half=(500, 1500), outside=True),),
        ((0.25, partial(inner.cysts, number=(1, 5), reach=500)),),
    ),
    "RS": Recipe("retinoschisis: two sheets held together by pillars", (inner.schisis,)),
    "SCAR": Recipe(
        "disciform scar: thick bright material, photoreceptors lost, tubulation",
        (
            partial(outer.material, height=(80, 240), half=(700, 1500), grey=(165, 200), rough=0.2),
            partial(outer.atrophy, half=(500, 1200), depth=0.6),
            outer.tubulation,
        ),
        ((0.4, partial(inner.cysts, number=(1, 6), reach=800)),),
    ),
    "STARGARDT": Recipe(
        "Stargardt disease: photoreceptors lost at the fovea, thin retina",
        (partial(outer.photoreceptor_loss, half=(500, 1400), outside=False, thin=0.75),),
    ),
    "UVEITIS": Recipe(
        "uveitic oedema: cysts about the fovea, cells in the vitreous",
        (
            partial(inner.swelling, by=(30, 160), half=(1000, 1800)),
            partial(inner.cysts, number=(2, 9), reach=700, size=(50, 140)),
            vitreous.floating_cells,
        ),
        ((0.35, _little_fluid),),
    ),
    "VMT": Recipe("vitreomacular traction: the fovea pulled into a tent", (vitreous.traction,)),
}
"""By name. Places in this table are part of patients' numbers: new classes go to its end."""
