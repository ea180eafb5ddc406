"""Whether a device plugin, of any make and language, obeys the kubelet."""
