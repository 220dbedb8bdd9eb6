"""Packaging of yt8m_distill: one code base on two TensorFlow stacks, chosen by environment markers.

Python 3.9-3.11 gets tensorflow 2.15, the last release with keras 2 and tensorflow-addons. Python 3.12 and
newer gets the newest tensorflow beside tf-keras, which pins the tensorflow of its own minor.
`yt8m_distill/stack.py` checks the result at import; `tests/test_packaging.py` holds both to the same ranges.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE_INIT = Path(__file__).parent / "yt8m_distill" / "__init__.py"
VERSION = re.search(r'^__version__ = "(.+)"', PACKAGE_INIT.read_text(encoding="utf-8"), re.MULTILINE).group(1)

KERAS_2_STACK = 'python_version < "3.12"'
TF_KERAS_STACK = 'python_version >= "3.12"'
# tensorflow-addons 0.23 has wheels for these platforms only, and no source release.
HAS_ADDONS_WHEEL = '(sys_platform == "darwin" or (sys_platform == "linux" and platform_machine == "x86_64"))'

INSTALL_REQUIRES = [
    "absl-py",
    "pandas",
    f"tensorflow>=2.15.1,<2.16; {KERAS_2_STACK}",
    f"keras>=2.15,<2.16; {KERAS_2_STACK}",
    f"numpy<2; {KERAS_2_STACK}",
    f"tensorflow-addons>=0.23,<0.24; {KERAS_2_STACK} and {HAS_ADDONS_WHEEL}",
    # The tensorboard command that comes with tensorflow 2.15 needs pkg_resources, gone in setuptools 82.
    f"setuptools<82; {KERAS_2_STACK}",
    f"tensorflow>=2.18; {TF_KERAS_STACK}",
    f"tf-keras>=2.18; {TF_KERAS_STACK}",
    f"numpy; {TF_KERAS_STACK}",
    # tf.summary needs it, and tensorflow no longer brings it since 2.20.
    f"tensorboard; {TF_KERAS_STACK}",
]

# The pictures of a study's report; without them it has its tables alone.
REPORT_REQUIRES = ["matplotlib", "scikit-learn"]

EXTRAS_REQUIRE = {
    "gpu": [
        f"tensorflow[and-cuda]>=2.15.1,<2.16; {KERAS_2_STACK}",
        f"tensorflow[and-cuda]>=2.18; {TF_KERAS_STACK}",
    ],
    "report": REPORT_REQUIRES,
    "dev": ["pytest", "pytest-timeout", "pytest-xdist>=3.7", "hypothesis", "ruff>=0.17,<0.18", *REPORT_REQUIRES],
}

CONSOLE_SCRIPTS = [
    "yt8m-train = yt8m_distill.cli.train:main",
    "yt8m-eval = yt8m_distill.cli.eval:main",
    "yt8m-inference = yt8m_distill.cli.inference:main",
    "yt8m-export = yt8m_distill.cli.export_model:main",
    "yt8m-frames = yt8m_distill.cli.frames:main",
    "yt8m-download = yt8m_distill.cli.download:main",
    "yt8m-doctor = yt8m_distill.cli.doctor:main",
    "yt8m-ensemble = yt8m_distill.cli.ensemble:main",
    "yt8m-segment-eval = yt8m_distill.cli.segment_eval_inference:main",
    "yt8m-cache-teacher = yt8m_distill.cli.cache_teacher:main",
    "yt8m-study = yt8m_distill.cli.study:main",
    "yt8m-synthetic = yt8m_distill.cli.synthetic:main",
    "yt8m-cost = yt8m_distill.cli.cost:main",
    "yt8m-convert-json = yt8m_distill.cli.convert_prediction_from_json_to_csv:main",
]

setup(
    name="yt8m_distill",
    version=VERSION,
    description="See-very-little video classification on YouTube-8M: students that need a few frames of a"
    " video, distilled from teachers that see all of them.",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.9",
    packages=find_packages(include=["yt8m_distill", "yt8m_distill.*"]),
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    entry_points={"console_scripts": CONSOLE_SCRIPTS},
    keywords="video classification, YouTube-8M, knowledge distillation, frame selection, TensorFlow, Keras",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
