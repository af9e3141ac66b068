"""The study's plan, and everything it found on one page."""


rule plan:
    output:
        arms="results/{study}/{preset}/arms.csv",
        study="results/{study}/{preset}/study.json",
    log:
        "results/{study}/{preset}/logs/plan.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/plan.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=minutes(10),
    params:
        study=as_json(study.effective),
        code=code_of("write_plan.py"),
    shell:
        "python workflow/write_plan.py --study {params.study:q}"
        " --out-arms {output.arms:q} --out-study {output.study:q} > {log:q} 2>&1"


rule report:
    input:
        label_digests=get_example_digests,
        content_digests=get_content_digests,
        displays=get_displays(),
        figures=get_report_figures(),
        steps=get_step_figures,
        flows=get_flows,
        rejected=get_rejected,
        certificates=get_all_certificates(),
        views=get_views(),
        arms="results/{study}/{preset}/arms.csv",
        study="results/{study}/{preset}/study.json",
    output:
        page="results/{study}/{preset}/report.html",
    log:
        "results/{study}/{preset}/logs/report.log",
    benchmark:
        "results/{study}/{preset}/benchmarks/report.tsv"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=minutes(30),
    params:
        content=get_report_content,
        template=get_template_digest(),
        code=code_of("make_report.py"),
    shell:
        "python workflow/make_report.py --content {params.content:q}"
        " --displays {input.displays:q} --figures {input.figures:q} --steps {input.steps:q}"
        " --flows {input.flows:q} --rejected {input.rejected:q}"
        " --certificates {input.certificates:q} --arms {input.arms:q} --study {input.study:q}"
        " --out {output.page:q} > {log:q} 2>&1"
