// SPDX-License-Identifier: Apache-2.0

// Runtime plays the part of containerd towards a CNI plugin, for tests and the
// demo: it makes a pod's HCN namespace, calls the plugins of a conflist through
// libcni with the arguments that containerd sends, and cleans up after a failure
// as containerd does.
//
//	runtime run    --conf FILE --plugins DIR --cache DIR --id ID --pod NAME [--host-port PORT]
//	runtime check  --conf FILE --plugins DIR --cache DIR --id ID --pod NAME [--host-port PORT] --netns GUID
//	runtime stop   --conf FILE --plugins DIR --cache DIR --id ID --pod NAME [--host-port PORT] --netns GUID
//	runtime status --conf FILE --plugins DIR --cache DIR
//
// run prints {"netns": GUID, "result": CNI result} on stdout.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hcn/hcnwin"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// cleanUpTime is what containerd gives a DEL after a failed ADD
// (internal/cri/util, DeferContext).
const cleanUpTime = time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", err)
		os.Exit(1)
	}
}

// sandbox is a pod's sandbox and how to reach its plugins.
type sandbox struct {
	conf, plugins, cache string
	id, pod, netns       string
	hostPort             int
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("which command: run, check, stop or status?")
	}
	var s sandbox
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&s.conf, "conf", "", "conflist `file`")
	flags.StringVar(&s.plugins, "plugins", "", "`directory` of the plugins' executables")
	flags.StringVar(&s.cache, "cache", "", "`directory` of libcni's result cache")
	flags.StringVar(&s.id, "id", "", "container `id` of the sandbox")
	flags.StringVar(&s.pod, "pod", "", "`name` of the pod, in the namespace default")
	flags.StringVar(&s.netns, "netns", "", "`GUID` of the pod's HCN namespace; run makes one")
	flags.IntVar(&s.hostPort, "host-port", 0, "`port` of the node that leads to the pod's port 80; 0 for none")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	list, err := libcni.ConfListFromFile(s.conf)
	if err != nil {
		return err
	}
	client, err := hcnwin.Open(time.Minute)
	if err != nil {
		return err
	}
	ctx := context.Background()
	switch args[0] {
	case "run":
		return s.start(ctx, client, list)
	case "check":
		return s.cni().CheckNetworkList(ctx, list, s.runtimeConf())
	case "stop":
		return s.stop(ctx, client, list)
	case "status":
		return s.cni().GetStatusNetworkList(ctx, list)
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
}

// start makes the namespace, calls ADD and prints both.
func (s sandbox) start(ctx context.Context, client hns.Client, list *libcni.NetworkConfigList) error {
	ns, err := client.CreateNamespace(ctx, s.netns)
	if err != nil {
		return err
	}
	s.netns = ns.ID
	result, err := s.cni().AddNetworkList(ctx, list, s.runtimeConf())
	if err != nil {
		ctx, cancel := context.WithTimeout(ctx, cleanUpTime)
		defer cancel()
		return errors.Join(fmt.Errorf("ADD: %w", err), s.stop(ctx, client, list))
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		NetNS  string       `json:"netns"`
		Result types.Result `json:"result"`
	}{s.netns, result})
}

// stop calls DEL and removes the namespace.
func (s sandbox) stop(ctx context.Context, client hns.Client, list *libcni.NetworkConfigList) error {
	if err := s.cni().DelNetworkList(ctx, list, s.runtimeConf()); err != nil {
		return fmt.Errorf("DEL: %w", err)
	}
	if err := client.DeleteNamespace(ctx, s.netns); err != nil && !errors.Is(err, hns.ErrNotFound) {
		return err
	}
	return nil
}

func (s sandbox) cni() *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir([]string{s.plugins}, s.cache, nil)
}

// runtimeConf holds what containerd sends (internal/cri/server, toCNILabels).
func (s sandbox) runtimeConf() *libcni.RuntimeConf {
	return &libcni.RuntimeConf{
		ContainerID: s.id,
		NetNS:       s.netns,
		IfName:      "eth0",
		Args: [][2]string{
			{"IgnoreUnknown", "1"},
			{"K8S_POD_NAMESPACE", "default"},
			{"K8S_POD_NAME", s.pod},
			{"K8S_POD_INFRA_CONTAINER_ID", s.id},
			{"K8S_POD_UID", "uid-of-" + s.pod},
		},
		CapabilityArgs: s.capabilities(),
	}
}

// capabilities holds the wishes of the pod in the types, and so the spelling, of
// containerd's CNI client. libcni sends those that the conflist declares.
func (s sandbox) capabilities() map[string]any {
	wishes := map[string]any{
		"io.kubernetes.cri.pod-annotations": map[string]string(nil), // sent for every pod
		"dns": gocni.DNS{
			Servers:  []string{"10.96.0.53"},
			Searches: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
			Options:  []string{"ndots:5"},
		},
	}
	if s.hostPort > 0 {
		wishes["portMappings"] = []gocni.PortMapping{{HostPort: int32(s.hostPort), ContainerPort: 80, Protocol: "tcp"}}
	}
	return wishes
}
