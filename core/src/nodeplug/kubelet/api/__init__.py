"""The kubelet's APIs: `.proto` files and what `make proto` generates from them."""
