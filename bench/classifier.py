"""The classifier as one would write it in PyTorch."""

import torch

from export.head import LinearHead


class TorchClassifier(torch.nn.Module):
    """The encoder, its first token's vector, a linear layer."""

    def __init__(self, model: torch.nn.Module, head: LinearHead) -> None:
        super().__init__()
        self.encoder = model
        self.head = torch.nn.Linear(head.weight.shape[1], head.weight.shape[0])
        self.head.load_state_dict({"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)})
        self.eval().requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0])
