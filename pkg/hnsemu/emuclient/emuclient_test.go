// SPDX-License-Identifier: Apache-2.0

package emuclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hns/hnstest"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

// TestContract runs the suite on every profile, with the likelier answers to
// the open questions and with the others.
func TestContract(t *testing.T) {
	others := hnsemu.Unknowns{
		IgnoreID: true, TakenIDOpens: true, ReAddFails: true, GenericNotFound: true, DenyPerDirection: true, NATBySwitch: true,
		UpdateReplacesAll: true, AttachedOnAdd: true, LaxPortMapping: true, ReferencesBlockDelete: true,
		EndpointsSurviveReboot: true, NamesIgnoreCase: true, NoProviderAddress: true, SCTPWithoutPorts: true,
	}
	for _, p := range hnsemu.Profiles() {
		for answers, unknowns := range map[string]hnsemu.Unknowns{"likelier": {}, "others": others} {
			t.Run(p.Name+" "+answers, func(t *testing.T) {
				t.Parallel()
				h := hnsemu.New(p)
				if err := h.SetUnknowns(unknowns); err != nil {
					t.Fatal(err)
				}
				hnstest.Run(t, func(*testing.T) hns.Client { return emuclient.New(h, "test") })
				leftNothing(t, h)
			})
		}
	}
}

// TestContractOnNetwork runs the suite as on a Windows host, where it keeps to
// one network.
func TestContractOnNetwork(t *testing.T) {
	for _, p := range hnsemu.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			h := hnsemu.New(p)
			hnstest.Run(t, func(*testing.T) hns.Client { return emuclient.New(h, "test") }, hnstest.OnNetwork("disposable"))
			if d := dump(t, h); !strings.Contains(d, "disposable") {
				t.Errorf("the network is gone before the end of the test:\n%s", d)
			}
		})
	}
}

func dump(t *testing.T, h *hnsemu.Host) string {
	t.Helper()
	d, err := h.Dump()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func leftNothing(t *testing.T, h *hnsemu.Host) {
	t.Helper()
	if d := dump(t, h); d != "" {
		t.Errorf("the suite left behind:\n%s", d)
	}
}

func host(t *testing.T) (*hnsemu.Host, hns.Client) {
	t.Helper()
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	h := hnsemu.New(p)
	return h, emuclient.New(h, "test")
}

// world is what the tests below need to be there.
type world struct {
	network   hns.Network
	endpoint  hns.Endpoint
	namespace hns.Namespace
}

func populate(t *testing.T, c hns.Client) world {
	t.Helper()
	var w world
	var err error
	if w.network, err = c.CreateNetwork(t.Context(), wantNetwork("podnet", 0)); err != nil {
		t.Fatal(err)
	}
	id, err := c.CreateEndpoint(t.Context(), hns.Endpoint{Name: "pod", NetworkID: w.network.ID})
	if err == nil {
		w.endpoint, err = c.Endpoint(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.namespace, err = c.CreateNamespace(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return w
}

// result drops what a call returns beside its error.
func result(_ any, err error) error { return err }

func wantNetwork(name string, n int) hns.Network {
	return hns.Network{
		Name: name, Driver: hns.L2Bridge,
		Subnets: []hns.Subnet{{
			Prefix:  netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/24", n)),
			Gateway: netip.MustParseAddr(fmt.Sprintf("10.%d.0.1", n)),
		}},
	}
}

// TestNativeCalls pins the calls of each method, hcsshim's among them.
func TestNativeCalls(t *testing.T) {
	h, c := host(t)
	w := populate(t, c)
	ctx := t.Context()
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"Features", func() error { return result(c.Features(ctx)) }, "HNSCall"},
		{"Network", func() error { return result(c.Network(ctx, "podnet")) },
			"HcnEnumerateNetworks HcnOpenNetwork HcnQueryNetworkProperties HcnCloseNetwork"},
		{"ListNetworks", func() error { return result(c.ListNetworks(ctx)) }, "HNSCall"},
		{"CreateNetwork", func() error { return result(c.CreateNetwork(ctx, wantNetwork("other", 1))) },
			"HcnCreateNetwork HcnQueryNetworkProperties HcnCloseNetwork"},
		{"Endpoint", func() error { return result(c.Endpoint(ctx, w.endpoint.ID)) },
			"HcnOpenEndpoint HcnQueryEndpointProperties HcnCloseEndpoint"},
		{"EndpointsNamed", func() error { return result(c.EndpointsNamed(ctx, "pod")) },
			"HcnEnumerateEndpoints HcnOpenEndpoint HcnQueryEndpointProperties HcnCloseEndpoint"},
		{"EndpointsOf", func() error { return result(c.EndpointsOf(ctx, w.network.ID)) },
			"HcnEnumerateEndpoints HcnOpenEndpoint HcnQueryEndpointProperties HcnCloseEndpoint"},
		{"EndpointsNamed, none", func() error { return result(c.EndpointsNamed(ctx, "none")) }, "HcnEnumerateEndpoints"},
		{"CreateEndpoint", func() error {
			return result(c.CreateEndpoint(ctx, hns.Endpoint{Name: "pod2", NetworkID: w.network.ID}))
		}, "HcnOpenNetwork HcnCreateEndpoint HcnCloseNetwork HcnCloseEndpoint"},
		{"SetPolicies", func() error { return c.SetPolicies(ctx, w.endpoint.ID, nil) },
			"HcnOpenEndpoint HcnModifyEndpoint HcnCloseEndpoint"},
		{"CreateNamespace", func() error { return result(c.CreateNamespace(ctx, "")) },
			"HcnCreateNamespace HcnQueryNamespaceProperties HcnCloseNamespace"},
		{"Namespace", func() error { return result(c.Namespace(ctx, w.namespace.ID)) },
			"HcnOpenNamespace HcnQueryNamespaceProperties HcnCloseNamespace"},
		{"ListNamespaces", func() error { return result(c.ListNamespaces(ctx)) },
			"HcnEnumerateNamespaces" + strings.Repeat(" HcnOpenNamespace HcnQueryNamespaceProperties HcnCloseNamespace", 2)},
		{"AttachContainer", func() error { return c.AttachContainer(ctx, w.namespace.ID, "c1") },
			"HcnOpenNamespace HcnModifyNamespace HcnCloseNamespace"},
		{"DetachContainer", func() error { return c.DetachContainer(ctx, w.namespace.ID, "c1") },
			"HcnOpenNamespace HcnModifyNamespace HcnCloseNamespace"},
		{"Attach", func() error { return c.Attach(ctx, w.namespace.ID, w.endpoint.ID) },
			"HcnOpenNamespace HcnModifyNamespace HcnCloseNamespace"},
		{"Detach", func() error { return c.Detach(ctx, w.namespace.ID, w.endpoint.ID) },
			"HcnOpenNamespace HcnModifyNamespace HcnCloseNamespace"},
		{"DeleteEndpoint", func() error { return c.DeleteEndpoint(ctx, w.endpoint.ID) }, "HcnDeleteEndpoint"},
		{"DeleteNamespace", func() error { return c.DeleteNamespace(ctx, w.namespace.ID) }, "HcnDeleteNamespace"},
		{"DeleteNetwork", func() error { return c.DeleteNetwork(ctx, w.network.ID) }, "HcnDeleteNetwork"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := h.ResetLog(); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(strings.Fields(tt.want), procs(t, h)); d != "" {
				t.Errorf("native calls (-want +got):\n%s", d)
			}
			if n := h.OpenHandles("test"); n != 0 {
				t.Errorf("%d handles stay open", n)
			}
		})
	}
}

// TestRestart uses a client after HNS was restarted, and after its objects were
// deleted.
func TestRestart(t *testing.T) {
	h, c := host(t)
	w := populate(t, c)
	ctx := t.Context()
	if _, err := c.Namespace(ctx, w.namespace.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.RestartService(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Namespace(ctx, w.namespace.ID); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := c.CreateEndpoint(ctx, hns.Endpoint{Name: "other", NetworkID: w.network.ID}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	other := emuclient.New(h, "other")
	if err := other.DeleteNetwork(ctx, w.network.ID); err != nil {
		t.Fatal(err)
	}
	if err := other.DeleteNamespace(ctx, w.namespace.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.Attach(ctx, w.namespace.ID, w.endpoint.ID); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("a namespace that is gone: %v, want ErrNotFound", err)
	}
	if _, err := c.CreateEndpoint(ctx, hns.Endpoint{Name: "third", NetworkID: w.network.ID}); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("a network that is gone: %v, want ErrNotFound", err)
	}
	if _, err := c.Endpoint(ctx, w.endpoint.ID); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("an endpoint that is gone: %v, want ErrNotFound", err)
	}
	if n := h.OpenHandles("test"); n != 0 {
		t.Errorf("%d handles of what is gone stay open", n)
	}
}

func procs(t *testing.T, h *hnsemu.Host) []string {
	t.Helper()
	calls, err := h.Calls()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, c := range calls {
		list = append(list, c.Proc)
	}
	return list
}

func TestFailures(t *testing.T) {
	tests := []struct {
		name  string
		fault hnsemu.Fault
		do    func(context.Context, hns.Client, world) error
		want  error
		code  hns.HRESULT
	}{
		{"code", hnsemu.Fault{Proc: "HcnDeleteEndpoint", Kind: hnsemu.FaultFail, Code: 0x803b0017},
			func(ctx context.Context, c hns.Client, w world) error { return c.DeleteEndpoint(ctx, w.endpoint.ID) },
			nil, 0x803b0017},
		{"code with a kind", hnsemu.Fault{Proc: "HcnModifyNamespace", Kind: hnsemu.FaultFail, Code: hns.CodeEndpointInANetns},
			func(ctx context.Context, c hns.Client, w world) error {
				return c.Attach(ctx, w.namespace.ID, w.endpoint.ID)
			},
			hns.ErrAttached, hns.CodeEndpointInANetns},
		{"connection cut", hnsemu.Fault{Proc: "HcnCreateEndpoint", Kind: hnsemu.FaultCut, After: true},
			func(ctx context.Context, c hns.Client, w world) error {
				_, err := c.CreateEndpoint(ctx, hns.Endpoint{Name: "x", NetworkID: w.network.ID})
				return err
			}, hns.ErrUnavailable, hns.CodeCallFailed},
		{"no answer", hnsemu.Fault{Kind: hnsemu.FaultHang},
			func(ctx context.Context, c hns.Client, _ world) error { _, err := c.Features(ctx); return err },
			hns.ErrBusy, 0},
		{"one endpoint went away while listed", hnsemu.Fault{Proc: "HcnOpenEndpoint", Kind: hnsemu.FaultFail, Code: hns.CodeEndpointNotFound},
			func(ctx context.Context, c hns.Client, w world) error {
				_, err := c.EndpointsOf(ctx, w.network.ID)
				return err
			}, nil, 0},
		{"one was torn down while queried", hnsemu.Fault{Proc: "HcnQueryEndpointProperties", Kind: hnsemu.FaultFail, Code: hns.CodeTornDown},
			func(ctx context.Context, c hns.Client, _ world) error {
				_, err := c.EndpointsNamed(ctx, "pod")
				return err
			},
			nil, 0},
		{"endpoints never stop going away", hnsemu.Fault{Proc: "HcnQueryEndpointProperties", Kind: hnsemu.FaultFail, Code: hns.CodeEndpointNotFound, Every: true},
			func(ctx context.Context, c hns.Client, _ world) error {
				_, err := c.EndpointsNamed(ctx, "pod")
				return err
			}, hns.ErrBusy, 0},
		{"HNS does not find one that is there", hnsemu.Fault{Proc: "HcnOpenNamespace", Kind: hnsemu.FaultFail, Code: hns.CodeNotFound},
			func(ctx context.Context, c hns.Client, w world) error {
				_, err := c.Namespace(ctx, w.namespace.ID)
				return err
			}, nil, 0},
		{"it is never there long enough", hnsemu.Fault{Proc: "HcnQueryEndpointProperties", Kind: hnsemu.FaultFail, Code: hns.CodeTornDown, Every: true},
			func(ctx context.Context, c hns.Client, w world) error {
				_, err := c.Endpoint(ctx, w.endpoint.ID)
				return err
			}, hns.ErrBusy, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, c := host(t)
			w := populate(t, c)
			tt.fault.Nth = 1
			if err := h.AddFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			err := tt.do(ctx, c, w)
			if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && tt.code == 0 && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var e *hns.Error
			if errors.As(err, &e); tt.code != 0 && (e == nil || e.Code != tt.code) {
				t.Errorf("got %v, want code %s", err, tt.code)
			}
		})
	}
}

func TestServiceStopped(t *testing.T) {
	h, c := host(t)
	if err := h.StopService(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Features(t.Context()); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("Features: %v, want ErrUnavailable", err)
	}
	if _, err := c.Network(t.Context(), "podnet"); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("Network: %v, want ErrUnavailable", err)
	}
	if _, err := c.ListNetworks(t.Context()); !errors.Is(err, hns.ErrUnavailable) {
		t.Errorf("ListNetworks: %v, want ErrUnavailable", err)
	}
}

// TestListNetworks: however many there are, with everything that the list says.
func TestListNetworks(t *testing.T) {
	h, c := host(t)
	var want []hns.Network
	for i, n := range []hns.Network{wantNetwork("a", 1), wantNetwork("b", 2), wantNetwork("c", 3)} {
		n.Adapter, n.NonPersistent, n.Subnets[0].VLAN = "Ethernet", true, uint16(i)
		got, err := c.CreateNetwork(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, hns.Network{
			ID: got.ID, Name: n.Name, Driver: n.Driver, Adapter: n.Adapter, Subnets: n.Subnets,
			ManagementAddress: netip.MustParseAddr("192.168.1.5"),
		})
	}
	if err := h.ResetLog(); err != nil {
		t.Fatal(err)
	}
	got, err := c.ListNetworks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b hns.Network) int { return strings.Compare(a.Name, b.Name) })
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if calls := procs(t, h); len(calls) != 1 {
		t.Errorf("native calls %v, want one", calls)
	}
}

// TestContainers pins what the emulator does, where HNS itself may do otherwise.
func TestContainers(t *testing.T) {
	_, c := host(t)
	w := populate(t, c)
	ctx := t.Context()
	state := func() string {
		t.Helper()
		n, err := c.Namespace(ctx, w.namespace.ID)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(n.Compartment, n.Containers)
	}
	attach := func(id string) error { return c.AttachContainer(ctx, w.namespace.ID, id) }
	detach := func(id string) error { return c.DetachContainer(ctx, w.namespace.ID, id) }
	for i, step := range []struct {
		do   func(string) error
		id   string
		fail error
		want string
	}{
		{detach, "c1", hns.ErrNotFound, "0 []"},
		{attach, "c1", nil, "2 [c1]"},
		{attach, "c1", nil, "2 [c1]"},
		{attach, "C2", nil, "2 [c1 C2]"},
		{detach, "c1", nil, "2 [C2]"},
		{detach, "C2", nil, "0 []"},
	} {
		if err := step.do(step.id); !errors.Is(err, step.fail) {
			t.Errorf("step %d: %v, want %v", i+1, err, step.fail)
		}
		if got := state(); got != step.want {
			t.Errorf("step %d: got %s, want %s", i+1, got, step.want)
		}
	}
}

// replies is a Caller that gives one answer to everything.
type replies hnsemu.Reply

func (r replies) Call(context.Context, hnsemu.Call) (hnsemu.Reply, error) {
	return hnsemu.Reply(r), nil
}

func TestAnswers(t *testing.T) {
	features := func(c hns.Client) error { _, err := c.Features(t.Context()); return err }
	network := func(c hns.Client) error { _, err := c.Network(t.Context(), "x"); return err }
	networks := func(c hns.Client) error { _, err := c.ListNetworks(t.Context()); return err }
	remove := func(c hns.Client) error { return c.DeleteEndpoint(t.Context(), hns.ZeroGUID) }
	tests := []struct {
		name string
		do   func(hns.Client) error
		give hnsemu.Reply
		want string
	}{
		{"too old to tell", features, hnsemu.Reply{Out: `{"Success":false,"Error":"Element not found. "}`},
			"ask for the HNS version: unsupported: HNS failed with error: Element not found."},
		{"too old to tell, by a code", features, hnsemu.Reply{Code: hns.CodeNotFound},
			"ask for the HNS version: unsupported: 0x80070490 ERROR_NOT_FOUND (Element not found)"},
		{"stopping, by a code in the answer", features, hnsemu.Reply{Out: `{"Success":false,"Error":"Stopping. ","ErrorCode":2151350304}`},
			"ask for the HNS version: 0x803b0020 HCN_E_MANAGER_STOPPED (Operation cannot be performed while service is stopping): HNS failed with error: Stopping."},
		{"version is no JSON", features, hnsemu.Reply{Out: `?`},
			"ask for the HNS version: unsupported: answer of HNS: invalid character '?' looking for beginning of value"},
		{"networks refused in the answer", networks, hnsemu.Reply{Out: `{"Success":false,"Error":"The parameter is incorrect. "}`},
			"list networks: HNS failed with error: The parameter is incorrect."},
		{"networks refused by a code", networks, hnsemu.Reply{Code: hns.CodeServiceNotActive},
			"list networks: 0x80070426 ERROR_SERVICE_NOT_ACTIVE (The service has not been started): HNSCall failed"},
		{"no answer about networks", networks, hnsemu.Reply{},
			"list networks: answer of HNS: unexpected end of JSON input"},
		{"list is no JSON", network, hnsemu.Reply{Out: `?`},
			"find network x: invalid character '?' looking for beginning of value"},
		{"error record and no code", remove, hnsemu.Reply{Record: `{"Success":false}`},
			"delete endpoint " + hns.ZeroGUID + ": 0x8007001f ERROR_GEN_FAILURE (A device attached to the system is not functioning): HcnDeleteEndpoint failed {\"Success\":false}"},
		{"code that is no failure", remove, hnsemu.Reply{Code: 1}, "<nil>"},
		{"null list", network, hnsemu.Reply{Out: `null`}, "find network x: 0x803b0001 HCN_E_NETWORK_NOT_FOUND (The network was not found)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprint(tt.do(emuclient.New(replies(tt.give), "test"))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestListsUnderChurn lists while other processes make and delete endpoints.
func TestListsUnderChurn(t *testing.T) {
	h, c := host(t)
	w := populate(t, c)
	var churn sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for n := range 4 {
		churn.Go(func() {
			c := emuclient.New(h, fmt.Sprint("churn", n))
			for ctx.Err() == nil {
				pod, err := c.CreateEndpoint(t.Context(), hns.Endpoint{Name: fmt.Sprint("churn", n), NetworkID: w.network.ID})
				if err != nil {
					t.Error(err)
					return
				}
				if err := c.DeleteEndpoint(t.Context(), pod); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		list, err := c.EndpointsOf(t.Context(), w.network.ID)
		if err != nil && !errors.Is(err, hns.ErrBusy) || errors.Is(err, hns.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if err == nil && !slices.ContainsFunc(list, func(e hns.Endpoint) bool { return e.ID == w.endpoint.ID }) {
			t.Errorf("%v lacks the one that stays", list)
		}
	}
	stop()
	churn.Wait()
}
