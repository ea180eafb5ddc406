package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// The kubelet's path is a constant (pluginapi.DevicePluginPath), so each process has its own there.
const fixedDirectory = "/var/lib/kubelet/device-plugins"

// The second argument of the process in the namespace.
const inside = "inside"

// enterNamespace runs this program again in a mount namespace of its own, in a user namespace too
// where the caller is not root. Both end together.
func enterNamespace(path string) int {
	// The inner process is killed when this thread ends.
	runtime.LockOSThread()
	inner := exec.Command("/proc/self/exe", path, inside)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	inner.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		inner.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		inner.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		inner.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := inner.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() >= 0 {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		return 1
	}
	return 0
}

// mountDirectory puts a directory in the kubelet's place. A kubelet's start
// removes sockets there (R5), so nothing goes on unless this succeeds.
func mountDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/var/lib", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount over /var/lib: %w", err)
	}
	if err := os.MkdirAll(fixedDirectory, 0o755); err != nil {
		return err
	}
	// By its descriptor, since the path may lie below /var/lib.
	source := fmt.Sprintf("/proc/self/fd/%d", directory.Fd())
	if err := syscall.Mount(source, fixedDirectory, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the directory: %w", err)
	}
	return nil
}
