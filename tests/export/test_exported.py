"""Encoders that PyTorch exports: families without a written graph, trained on and imported."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from factories import reviews, train_tiny
