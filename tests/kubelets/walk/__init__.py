"""The same random steps on the embedded kubelet and on a real one, compared after each."""
