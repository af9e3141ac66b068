"""fewcase: from raw recordings and images to tables that a reviewer can trust."""

from snakemake.utils import min_version

min_version("9.0")

# One study is read and no other: a `configfile:` would be merged under the one that was given.
if not workflow.configfiles:

    configfile: Path(workflow.current_basedir) / "config.yaml"


include: "rules/common.smk"
include: "rules/common_gan.smk"
include: "rules/common_explain.smk"
include: "rules/common_masks.smk"
include: "rules/ingest.smk"
include: "rules/signal.smk"
include: "rules/images.smk"
include: "rules/split.smk"
include: "rules/train.smk"
include: "rules/gan.smk"
include: "rules/score.smk"
include: "rules/tabulate.smk"
include: "rules/explain.smk"
include: "rules/segment.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        f"{ROOT}/report.html",
        get_tables(),
        get_figures(),
        get_views(),


# One target per stage, to run a study as far as that.
rule all_recordings:
    input:
        expand(f"{ROOT}/cohorts/{{cohort}}/records/records.hash", cohort=study.cohorts),


rule all_images:
    input:
        get_all_images(),


rule all_splits:
    input:
        get_all_splits(),


rule all_runs:
    input:
        get_all_predictions(),
        get_all_certificates(),


rule all_scores:
    input:
        get_all_scores(),
        get_all_certificates(),
