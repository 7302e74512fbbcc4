// A Kubernetes control plane in one program: kube-apiserver, kube-controller-manager, kubectl and etcd,
// as they are published, for tests that would rather ask the real thing. The first argument says which.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = "usage: control-plane kube-apiserver | kube-controller-manager | kubectl | etcd DIR CLIENT-URL PEER-URL | key FILE"

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	program := os.Args[1]
	// Each command takes its own name for the first argument.
	os.Args = os.Args[1:]
	switch program {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	case "etcd":
		if err := etcd(os.Args[1:]); err != nil {
			fail(err)
		}
	case "key":
		if err := key(os.Args[1:]); err != nil {
			fail(err)
		}
	default:
		fail(usage)
	}
}

// key makes the key with which the API server signs the tokens of service accounts.
func key(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s", usage)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	bytes, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "EC PRIVATE KEY", Bytes: bytes}
	return os.WriteFile(args[0], pem.EncodeToMemory(block), 0o600)
}

// etcd keeps the cluster's state in a directory until it is told to end.
func etcd(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s", usage)
	}
	client, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	peer, err := url.Parse(args[2])
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = args[0]
	config.LogLevel = "warn"
	// What a test keeps is gone after it anyhow.
	config.UnsafeNoFsync = true
	config.ListenClientUrls = []url.URL{*client}
	config.AdvertiseClientUrls = []url.URL{*client}
	config.ListenPeerUrls = []url.URL{*peer}
	config.AdvertisePeerUrls = []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	select {
	case err := <-server.Err():
		return err
	case <-end:
		return nil
	}
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}
