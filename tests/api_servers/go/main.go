// An API server of Kubernetes and the etcd that it needs, in one process: apiserver FOLDER FLAG...
package main

import (
	"log"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	folder := os.Args[1]
	store, err := embed.StartEtcd(etcd(folder))
	if err != nil {
		log.Fatalf("etcd: %v", err)
	}
	<-store.Server.ReadyNotify()
	command := app.NewAPIServerCommand()
	command.SetArgs(append(os.Args[2:], "--etcd-servers=unix://"+filepath.Join(folder, "client")))
	os.Exit(cli.Run(command))
}

// What it keeps is worth nothing after a test, so no disk is waited for.
func etcd(folder string) *embed.Config {
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(folder, "client")}}
	config.ListenPeerUrls = []url.URL{{Scheme: "unix", Path: filepath.Join(folder, "peer")}}
	return config
}
