"""How a report's numbers were got, in sentences, each with where to read on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One method."""

    what: str
    name: str
    address: str


SOURCES = (
    Source(
        "Shares have Wilson's score interval; tries that resemble each other count as fewer.",
        "Wilson 1927, J. Am. Stat. Assoc. 22:209",
        "https://doi.org/10.1080/01621459.1927.10502953",
    ),
    Source(
        "From five seeds on each is one observation, and means have Student's interval.",
        "Student 1908, Biometrika 6:1",
        "https://doi.org/10.1093/biomet/6.1.1",
    ),
    Source(
        "Fewer seeds are one long run, whose interval comes from the means of 10 to 30 batches.",
        "Schmeiser 1982, Operations Research 30:556",
        "https://doi.org/10.1287/opre.30.3.556",
    ),
    Source(
        "Batches are long enough when von Neumann's ratio does not find neighbours alike.",
        "Fishman 1978, Management Science 24:510",
        "https://doi.org/10.1287/mnsc.24.5.510",
    ),
    Source(
        "Whether the warm-up was cut off is judged by MSER-5.",
        "White 1997, Simulation 69:323",
        "https://doi.org/10.1177/003754979706900601",
    ),
    Source(
        "Medians and 99th percentiles lie between two observations, by their ranks.",
        "Woodruff 1952, J. Am. Stat. Assoc. 47:635",
        "https://doi.org/10.1080/01621459.1952.10483443",
    ),
    Source(
        "Gini's coefficient is of all nodes: 0 where all bear the same, 1 where one bears all.",
        "Damgaard & Weiner 2000, Ecology 81:1139",
        "https://doi.org/10.1890/0012-9658(2000)081[1139:DIIPSO]2.0.CO;2",
    ),
    Source(
        "Ways to search were put on the same meshes and asked the same questions, and are compared"
        " pair by pair.",
        "Law 2015, Simulation Modeling and Analysis, 11.2",
        "https://www.worldcat.org/isbn/9780073401324",
    ),
)
