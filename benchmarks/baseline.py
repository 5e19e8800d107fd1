"""What a careful user would write instead: one plain PyTorch script a run, nothing of ours.

python benchmarks/baseline.py --task modular --lr 1e-3 --weight-decay 1.0
python benchmarks/baseline.py --task cifar10_small --data-dir DATA --lr 2e-3 --weight-decay 0.5

torchvision or tensor datasets, a DataLoader with two workers that persist, transforms, fp32,
torch.optim.AdamW, default threads. It prints the final test error in percent.
"""

import argparse
import io
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from torchvision import transforms
from torchvision.datasets import CIFAR10

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class ParquetCIFAR10(Dataset):
    """CIFAR-10 in Hugging Face's layout, opened as torchvision opens its own: images in memory."""

    def __init__(self, file: str, transform: transforms.Compose, size: int | None = None):
        import pyarrow.parquet
        from PIL import Image

        table = pyarrow.parquet.read_table(file).slice(0, size).to_pydict()
        self.labels = table["label"]
        self.images = [Image.open(io.BytesIO(i["bytes"])).convert("RGB") for i in table["img"]]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))
        return F.relu(out + x)


def resnet8(width: int = 16) -> nn.Module:
    """Return the network of configs/model/resnet8.yaml, as one finds it in tutorials."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        BasicBlock(width, width, 1), BasicBlock(width, 2 * width, 2),
        BasicBlock(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10),
    )  # fmt: skip


class ModularTransformer(nn.Module):
    """One pre-norm encoder layer on (a, b, =), read at the last position."""

    def __init__(self, modulus: int, width: int = 64, heads: int = 4):
        super().__init__()
        self.tokens = nn.Embedding(modulus + 1, width)
        self.places = nn.Parameter(0.02 * torch.randn(3, width))
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, modulus)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.layer(self.tokens(x) + self.places)[:, -1]))


def modular(arguments: argparse.Namespace) -> tuple[Dataset, Dataset, nn.Module]:
    """Return half of the sums mod p to train on, the others to test on, and the network."""
    p = 47
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p), torch.tensor([p]))
    labels = pairs[:, :2].sum(1) % p
    order = torch.randperm(p * p)
    train, test = order[: p * p // 2], order[p * p // 2 :]
    model = ModularTransformer(p)
    return (
        TensorDataset(pairs[train], labels[train]), TensorDataset(pairs[test], labels[test]), model
    )  # fmt: skip


def cifar10_small(arguments: argparse.Namespace) -> tuple[Dataset, Dataset, nn.Module]:
    """Return 5,000 training and 10,000 test images at 16x16, and the network."""
    common = [transforms.Resize(16), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    augmented = transforms.Compose([transforms.RandomHorizontalFlip(), *common])
    plain = transforms.Compose(common)
    folder = f"{arguments.data_dir}/cifar10"
    try:
        train = ParquetCIFAR10(f"{folder}/train-00000-of-00001.parquet", augmented, 5000)
        test = ParquetCIFAR10(f"{folder}/test-00000-of-00001.parquet", plain)
    except FileNotFoundError:
        train = CIFAR10(arguments.data_dir, train=True, transform=augmented)
        test = CIFAR10(arguments.data_dir, train=False, transform=plain)
    return Subset(train, range(5000)), test, resnet8()


BUDGETS = {  # task: (make, epochs, batch size, epochs between evaluations)
    "modular": (modular, 834, 512, 25),
    "cifar10_small": (cifar10_small, 25, 128, 5),
}


def error(model: nn.Module, loader: DataLoader, device: str) -> float:
    """Return the test error in percent."""
    model.eval()
    wrong = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            wrong += (model(inputs.to(device)).argmax(1) != labels.to(device)).sum().item()
            total += len(labels)
    return 100 * wrong / total


def main() -> None:
    """Train and print the final test error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=BUDGETS, required=True)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=None)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    make, epochs, batch_size, evaluate_every = BUDGETS[arguments.task]
    epochs = arguments.epochs or epochs
    train, test, model = make(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    workers: dict[str, Any] = {"num_workers": 2, "persistent_workers": True}
    train_loader = DataLoader(train, batch_size, shuffle=True, **workers)
    test_loader = DataLoader(test, 2048, **workers)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=arguments.lr, weight_decay=arguments.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(train_loader))
    for epoch in range(1, epochs + 1):
        model.train()
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs.to(device)), labels.to(device)).backward()
            optimizer.step()
            scheduler.step()
        if epoch % evaluate_every == 0 or epoch == epochs:
            result = error(model, test_loader, device)
    print(f"{arguments.task}: test error {result:.2f} %")


if __name__ == "__main__":
    main()
