"""The predictions of an arm's runs become its scores; shortcut baselines are scored beside them."""


rule score:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        predictions=get_predictions,
        inner_predictions=get_inner_predictions,
        options=get_run_options,
        splits=get_splits,
        record_digests=get_subgroup_digests,
        records=ancient(get_records),
        other_labels=get_other_label_digests,
        labels=ancient(get_other_examples),
    output:
        summary="results/{study}/{preset}/scores/{split}/{arm}.csv",
        runs="results/{study}/{preset}/scores/{split}/{arm}-runs.csv",
        units="results/{study}/{preset}/scores/{split}/{arm}-units.parquet",
        curves="results/{study}/{preset}/scores/{split}/{arm}-curves.csv",
    log:
        "results/{study}/{preset}/logs/score/{split}/{arm}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/score/{split}/{arm}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30),
    params:
        runs=get_run_names,
        inner_runs=get_inner_run_names,
        unit=study.unit,
        subgroups=as_json(
            {
                name: dataclasses.asdict(group)
                for name, group in study.subgroups.items()
            }
        ),
        labels=get_other_targets,
        ordered=get_ordered_option,
        code=code_of("score.py"),
    shell:
        "python workflow/score.py --arm {wildcards.arm:q} --split-name {wildcards.split}"
        " --unit {params.unit} --runs {params.runs} --predictions {input.predictions:q}"
        " --inner-predictions {input.inner_predictions:q} --inner-runs {params.inner_runs}"
        " --run-options {input.options:q} --splits {input.splits:q}"
        " --records {input.records:q} --subgroups {params.subgroups:q} --labels {params.labels:q}"
        " {params.ordered}"
        " --summary {output.summary:q} --runs-out {output.runs:q} --units-out {output.units:q}"
        " --curves-out {output.curves:q} > {log:q} 2>&1"


rule fit_shortcuts:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        record_digests=get_record_digests,
        splits=get_splits,
        samples=get_default_samples,
        features=get_features,
        pixels=get_pixels,
        quality=ancient(get_quality),
        records=ancient(get_records),
    output:
        summary="results/{study}/{preset}/scores/{split}/shortcuts.csv",
        runs="results/{study}/{preset}/scores/{split}/shortcuts-runs.csv",
        units="results/{study}/{preset}/scores/{split}/shortcuts-units.parquet",
    log:
        "results/{study}/{preset}/logs/fit_shortcuts/{split}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/fit_shortcuts/{split}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        seeds=" ".join(map(str, study.seeds)),
        shortcuts=get_shortcuts_of_split,
        windows=get_window_options,
        unit_kind=get_unit_kind,
        metadata=as_json(study.metadata),
        unit=study.unit,
        code=code_of("fit_shortcuts.py"),
    shell:
        "python workflow/fit_shortcuts.py --split {input.splits:q} --seeds {params.seeds}"
        " --samples {input.samples:q} --records {input.records:q} {params.windows}"
        " --pixels {input.pixels:q} --unit-kind {params.unit_kind}"
        " --shortcuts {params.shortcuts:q} --metadata {params.metadata:q}"
        " --split-name {wildcards.split} --unit {params.unit} --summary {output.summary:q}"
        " --runs-out {output.runs:q} --units-out {output.units:q} > {log:q} 2>&1"
