"""The predictions of an arm's runs become its scores."""


rule score:
    input:
        label_digests=get_example_digests,
        signal_digests=get_signal_digests,
        predictions=get_predictions,
        options=get_run_options,
        splits=get_splits,
    output:
        summary="results/{study}/{preset}/scores/{split}/{arm}.csv",
        runs="results/{study}/{preset}/scores/{split}/{arm}-runs.csv",
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
        unit=study.unit,
        code=code_of("score.py"),
    shell:
        "python workflow/score.py --arm {wildcards.arm:q} --split-name {wildcards.split}"
        " --unit {params.unit} --runs {params.runs} --predictions {input.predictions:q}"
        " --run-options {input.options:q} --splits {input.splits:q}"
        " --summary {output.summary:q} --runs-out {output.runs:q} > {log:q} 2>&1"
