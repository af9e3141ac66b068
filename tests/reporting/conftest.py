"""The made-up studies that tests of this room share."""

from fake_study import make_study, shared_study, small_study, university_c

__all__ = ["make_study", "shared_study", "small_study", "university_c"]
