"""Scores become the tables and figures of the experiments."""


rule tabulate:
    input:
        label_digests=get_example_digests,
        signal_digests=get_signal_digests,
        scores=get_experiment_scores,
    output:
        csv=report(
            "results/{study}/{preset}/tables/{experiment}.csv",
            caption="../workflow/report/table.rst",
            category="Experiments",
            labels={"experiment": "{experiment}", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/{experiment}.md",
        tex="results/{study}/{preset}/tables/{experiment}.tex",
        svg=report(
            "results/{study}/{preset}/figures/{experiment}.svg",
            caption="../workflow/report/figure.rst",
            category="Experiments",
            labels={"experiment": "{experiment}", "type": "figure"},
        ),
        png="results/{study}/{preset}/figures/{experiment}.png",
    log:
        "results/{study}/{preset}/logs/tabulate/{experiment}.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/{experiment}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        experiment=get_experiment,
        published=get_published_digest,
        code=code_of("tabulate_experiment.py"),
    shell:
        "python workflow/tabulate_experiment.py --experiment {params.experiment:q}"
        " --scores {input.scores:q} --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"


rule tabulate_labels:
    input:
        label_digests=get_example_digests,
        signal_digests=get_signal_digests,
        splits=get_default_splits,
        samples=get_default_samples,
    output:
        csv=report(
            "results/{study}/{preset}/tables/labels.csv",
            caption="../workflow/report/labels.rst",
            category="Cohort",
            labels={"experiment": "label counts", "type": "table"},
        ),
        md="results/{study}/{preset}/tables/labels.md",
        tex="results/{study}/{preset}/tables/labels.tex",
        svg="results/{study}/{preset}/figures/labels.svg",
        png="results/{study}/{preset}/figures/labels.png",
    log:
        "results/{study}/{preset}/logs/tabulate/labels.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/tabulate/labels.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        title=get_labels_title,
        code=code_of("tabulate_labels.py"),
    shell:
        "python workflow/tabulate_labels.py --title {params.title:q}"
        " --splits {input.splits:q} --samples {input.samples:q}"
        " --csv {output.csv:q} --md {output.md:q} --tex {output.tex:q}"
        " --svg {output.svg:q} --png {output.png:q} > {log:q} 2>&1"
