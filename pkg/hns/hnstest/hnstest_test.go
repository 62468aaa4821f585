// SPDX-License-Identifier: Apache-2.0

package hnstest_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hns/hnstest"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

// flawed is a client with one fault; what is nil does as it should.
type flawed struct {
	hns.Client
	network   func(hns.Network) hns.Network
	endpoint  func(hns.Endpoint) hns.Endpoint
	wanted    func(hns.Endpoint) hns.Endpoint
	namespace func(hns.Namespace) hns.Namespace
	list      func([]hns.Endpoint) []hns.Endpoint
	policies  func([]hns.Policy) []hns.Policy
	failure   func(error) error
	// These change what the lists say, and drop requests for containers.
	networks   func([]hns.Network) []hns.Network
	namespaces func([]hns.Namespace) []hns.Namespace
	container  func(error) error
}

func apply[T any](change func(T) T, v T) T {
	if change == nil {
		return v
	}
	return change(v)
}

func (f flawed) Network(ctx context.Context, name string) (hns.Network, error) {
	n, err := f.Client.Network(ctx, name)
	return apply(f.network, n), apply(f.failure, err)
}

func (f flawed) CreateNetwork(ctx context.Context, want hns.Network) (hns.Network, error) {
	n, err := f.Client.CreateNetwork(ctx, want)
	return apply(f.network, n), apply(f.failure, err)
}

func (f flawed) Endpoint(ctx context.Context, id string) (hns.Endpoint, error) {
	e, err := f.Client.Endpoint(ctx, id)
	return apply(f.endpoint, e), apply(f.failure, err)
}

func (f flawed) EndpointsNamed(ctx context.Context, name string) ([]hns.Endpoint, error) {
	list, err := f.Client.EndpointsNamed(ctx, name)
	return apply(f.list, list), apply(f.failure, err)
}

func (f flawed) EndpointsOf(ctx context.Context, id string) ([]hns.Endpoint, error) {
	list, err := f.Client.EndpointsOf(ctx, id)
	return apply(f.list, list), apply(f.failure, err)
}

func (f flawed) CreateEndpoint(ctx context.Context, want hns.Endpoint) (string, error) {
	id, err := f.Client.CreateEndpoint(ctx, apply(f.wanted, want))
	return id, apply(f.failure, err)
}

func (f flawed) SetPolicies(ctx context.Context, id string, policies []hns.Policy) error {
	return apply(f.failure, f.Client.SetPolicies(ctx, id, apply(f.policies, policies)))
}

func (f flawed) Namespace(ctx context.Context, id string) (hns.Namespace, error) {
	n, err := f.Client.Namespace(ctx, id)
	return apply(f.namespace, n), apply(f.failure, err)
}

func (f flawed) ListNetworks(ctx context.Context) ([]hns.Network, error) {
	list, err := f.Client.ListNetworks(ctx)
	return apply(f.networks, list), err
}

func (f flawed) ListNamespaces(ctx context.Context) ([]hns.Namespace, error) {
	list, err := f.Client.ListNamespaces(ctx)
	return apply(f.namespaces, list), err
}

func (f flawed) AttachContainer(ctx context.Context, namespaceID, containerID string) error {
	if f.container != nil {
		return f.container(nil)
	}
	return f.Client.AttachContainer(ctx, namespaceID, containerID)
}

// flaws maps what is wrong to a case that must notice.
var flaws = map[string]struct {
	noticed string
	flawed
}{
	"ids keep their case": {"networks: read_back", flawed{
		network: func(n hns.Network) hns.Network { n.ID = strings.ToUpper(n.ID); return n }}},
	"gateways are lost": {"networks: read_back", flawed{
		network: func(n hns.Network) hns.Network {
			for i := range n.Subnets {
				n.Subnets[i].Gateway = netip.Addr{}
			}
			return n
		}}},
	"only the first subnet counts": {"networks: dual_stack", flawed{
		network: func(n hns.Network) hns.Network { n.Subnets = n.Subnets[:min(1, len(n.Subnets))]; return n }}},
	"MAC addresses are lost": {"endpoints: HNS_fills_in", flawed{
		endpoint: func(e hns.Endpoint) hns.Endpoint { e.MAC = ""; return e }}},
	"MAC addresses are not sent": {"endpoints: read_back", flawed{
		wanted: func(e hns.Endpoint) hns.Endpoint { e.MAC = ""; return e }}},
	"the namespace is not seen": {"namespaces: attach_and_detach", flawed{
		endpoint: func(e hns.Endpoint) hns.Endpoint { e.NamespaceID = ""; return e }}},
	"the zero namespace is one": {"namespaces: attach_and_detach", flawed{
		endpoint: func(e hns.Endpoint) hns.Endpoint {
			if e.NamespaceID == "" {
				e.NamespaceID = hns.ZeroGUID
			}
			return e
		}}},
	"names are taken for unique": {"endpoints: names_are_not_unique", flawed{
		list: func(l []hns.Endpoint) []hns.Endpoint { return l[:min(1, len(l))] }}},
	"policies without a type are dropped": {"policies: survive_creation", flawed{
		endpoint: func(e hns.Endpoint) hns.Endpoint {
			var kept []hns.Policy
			for _, p := range e.Policies {
				if _, opaque := p.(hns.Opaque); !opaque {
					kept = append(kept, p)
				}
			}
			e.Policies = kept
			return e
		}}},
	"rules lose their ids": {"policies: survive_a_replacement", flawed{
		policies: func(list []hns.Policy) []hns.Policy {
			var sent []hns.Policy
			for _, p := range list {
				if a, ok := p.(hns.ACL); ok {
					a.ID = ""
					p = a
				}
				sent = append(sent, p)
			}
			return sent
		}}},
	"members of a namespace are not seen": {"namespaces: two_endpoints", flawed{
		namespace: func(n hns.Namespace) hns.Namespace { n.Endpoints = n.Endpoints[:min(1, len(n.Endpoints))]; return n }}},
	"errors have no type": {"endpoints: absent", flawed{
		failure: func(err error) error {
			if err == nil {
				return nil
			}
			return errors.New(err.Error())
		}}},
	"the list lacks the VSID": {"networks: read_back", flawed{
		networks: func(list []hns.Network) []hns.Network {
			for i := range list {
				for j := range list[i].Subnets {
					list[i].Subnets[j].VSID = 0
				}
			}
			return list
		}}},
	"the list lacks the driver": {"networks: list", flawed{
		networks: func(list []hns.Network) []hns.Network {
			for i := range list {
				list[i].Driver = ""
			}
			return list
		}}},
	"networks are listed twice": {"networks: list", flawed{
		networks: func(list []hns.Network) []hns.Network { return append(list, list...) }}},
	"the list of namespaces is empty": {"namespaces: list", flawed{
		namespaces: func([]hns.Namespace) []hns.Namespace { return nil }}},
	"the list of namespaces lacks their members": {"namespaces: list", flawed{
		namespaces: func(list []hns.Namespace) []hns.Namespace {
			for i := range list {
				list[i].Endpoints = nil
			}
			return list
		}}},
	"containers are not attached": {"question: container_that_Windows_does_not_run", flawed{
		container: func(error) error { return nil }}},
	"containers are never refused": {"namespaces: containers", flawed{
		container: func(error) error { return nil }}},
	"failures are swallowed": {"networks: absent", flawed{
		failure: func(error) error { return nil }}},
}

// flawVar names the flaw that the program run by TestFlawsAreNoticed has.
const flawVar = "HNSTEST_FLAW"

func TestFlawsAreNoticed(t *testing.T) {
	if name := os.Getenv(flawVar); name != "" {
		f := flaws[name].flawed
		h := hnsemu.New(hnsemu.Profiles()[1])
		f.Client = emuclient.New(h, "test")
		hnstest.Run(t, func(*testing.T) hns.Client { return f })
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range flaws {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self, "-test.run", "^TestFlawsAreNoticed$", "-test.v")
			cmd.Env = append(os.Environ(), flawVar+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes")
			}
			if want := "--- FAIL: TestFlawsAreNoticed/" + strings.ReplaceAll(f.noticed, " ", "_") + " "; !strings.Contains(string(out), want) {
				t.Errorf("%q is not in the output:\n%s", want, out)
			}
		})
	}
}
