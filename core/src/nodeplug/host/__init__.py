"""The host this agent runs on.

root            where its file trees are, and its paths as it sees them
host            what a backend is given: the root and the kernel's events
uevents         what kernel events are and how to listen
kernel_uevents  those of this machine; socket_uevents those of a simulator
uevent_hub      one socket for all listeners; uevent_text the wire form
watch           changes of names in directories
inbox           the bounded queue between a reader and its consumer
sysfs           typed readers of attribute files; pci and usb on top of it
nodes           what a path is, without opening it
files           atomic writes, locks
calls           blocking driver calls off the event loop

Nothing here loads pyudev or asyncinotify before the first event source or watch is opened.
"""
