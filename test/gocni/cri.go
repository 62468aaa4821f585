// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// cleanUpTime is what containerd gives a Remove after a failed Setup
// (internal/cri/util, DeferContext).
const cleanUpTime = time.Minute

// runtime is containerd's CRI service, as far as networks are concerned.
type runtime struct {
	cni gocni.CNI
	hns hns.Client
}

// pod is what the CRI service knows of a pod's sandbox.
type pod struct {
	Name     string `json:"name"`
	ID       string `json:"id"`
	HostPort int32  `json:"hostPort"`
	// NetNS is what go-cni was given last: empty when the namespace was gone.
	NetNS string `json:"netns"`
	answer
}

// answer is what go-cni returned.
type answer struct {
	IP            string                   `json:"ip,omitempty"`
	AdditionalIPs []string                 `json:"additionalIPs,omitempty"`
	Interfaces    map[string]*gocni.Config `json:"interfaces,omitempty"`
	DNS           []types.DNS              `json:"dns,omitempty"`
	Error         string                   `json:"error,omitempty"`
}

// firstPort is the host port of the first pod.
const firstPort = 30000

// newPods invents pods, with ids as containerd makes them.
func newPods(n int) ([]*pod, error) {
	var pods []*pod
	for i := range n {
		id := make([]byte, 32)
		if _, err := rand.Read(id); err != nil {
			return nil, err
		}
		pods = append(pods, &pod{Name: fmt.Sprint("web-", i), ID: hex.EncodeToString(id), HostPort: firstPort + int32(i)})
	}
	return pods, nil
}

// options are those of cniNamespaceOpts. The pod asks for everything that a pod
// on Windows can have; libcni sends on what the configuration declares.
func (p *pod) options() []gocni.NamespaceOpts {
	annotations := map[string]string{
		"kubernetes.io/egress-bandwidth": "10M",
	}
	return []gocni.NamespaceOpts{
		gocni.WithLabels(map[string]string{
			"K8S_POD_NAMESPACE":          "default",
			"K8S_POD_NAME":               p.Name,
			"K8S_POD_INFRA_CONTAINER_ID": p.ID,
			"K8S_POD_UID":                "uid-of-" + p.Name,
			"IgnoreUnknown":              "1",
		}),
		gocni.WithCapability("io.kubernetes.cri.pod-annotations", annotations),
		gocni.WithCapabilityPortMap([]gocni.PortMapping{{HostPort: p.HostPort, ContainerPort: 80, Protocol: "tcp"}}),
		gocni.WithCapabilityBandWidth(gocni.BandWidth{
			EgressRate: 10_000_000, EgressBurst: math.MaxUint32,
		}),
		gocni.WithCapabilityDNS(gocni.DNS{
			Servers:  []string{"10.96.0.53"},
			Searches: []string{"default.svc.cluster.local", "svc.cluster.local", "cluster.local"},
			Options:  []string{"ndots:5"},
		}),
	}
}

// runPodSandbox makes a pod's namespace and network (sandbox_run.go).
func (r *runtime) runPodSandbox(ctx context.Context, p *pod) error {
	ns, err := r.hns.CreateNamespace(ctx, "")
	if err != nil {
		return err
	}
	p.NetNS = ns.ID
	if err := r.setupPodNetwork(ctx, p); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		// Without a result, containerd removes the namespace all the same.
		return errors.Join(fmt.Errorf("failed to setup network for sandbox %q: %w", p.ID, err),
			r.teardownPodNetwork(ctx, p), r.removeNetNS(ctx, p.NetNS))
	}
	return nil
}

func (r *runtime) setupPodNetwork(ctx context.Context, p *pod) error {
	result, err := r.cni.Setup(ctx, p.ID, p.NetNS, p.options()...)
	if err != nil {
		return err
	}
	p.Interfaces, p.DNS = result.Interfaces, result.DNS
	eth0, ok := result.Interfaces["eth0"]
	if !ok || len(eth0.IPConfigs) == 0 {
		return fmt.Errorf("failed to find network info for sandbox %q", p.ID)
	}
	p.IP, p.AdditionalIPs = selectPodIPs(eth0.IPConfigs)
	return nil
}

// selectPodIPs prefers IPv4, as containerd does unless ip_pref says otherwise.
func selectPodIPs(configs []*gocni.IPConfig) (ip string, more []string) {
	for _, c := range configs {
		if s := c.IP.String(); ip == "" && c.IP.To4() != nil {
			ip = s
		} else {
			more = append(more, s)
		}
	}
	if ip == "" {
		return more[0], more[1:]
	}
	return ip, more
}

// stopPodSandbox takes a pod's network down (sandbox_stop.go). A namespace that
// is gone, as after a reboot, is an empty path.
func (r *runtime) stopPodSandbox(ctx context.Context, p *pod) error {
	netns := p.NetNS
	if _, err := r.hns.Namespace(ctx, netns); errors.Is(err, hns.ErrNotFound) {
		p.NetNS = ""
	} else if err != nil {
		return fmt.Errorf("failed to check network namespace closed: %w", err)
	}
	if err := r.teardownPodNetwork(ctx, p); err != nil {
		return fmt.Errorf("failed to destroy network for sandbox %q: %w", p.ID, err)
	}
	return r.removeNetNS(ctx, netns)
}

func (r *runtime) teardownPodNetwork(ctx context.Context, p *pod) error {
	return r.cni.Remove(ctx, p.ID, p.NetNS, p.options()...)
}

func (r *runtime) check(ctx context.Context, p *pod) error {
	return r.cni.Check(ctx, p.ID, p.NetNS, p.options()...)
}

func (r *runtime) removeNetNS(ctx context.Context, id string) error {
	if err := r.hns.DeleteNamespace(ctx, id); err != nil && !errors.Is(err, hns.ErrNotFound) {
		return fmt.Errorf("failed to remove network namespace %s: %w", id, err)
	}
	return nil
}
