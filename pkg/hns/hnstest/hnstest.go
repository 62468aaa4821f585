// SPDX-License-Identifier: Apache-2.0

package hnstest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// Prefix begins the names of all networks and endpoints that the suite makes.
const Prefix = "bulkhead-test-"

// Option changes what Run does.
type Option func(*suite)

// OnNetwork makes the suite use the network of that name instead of making its
// own ones. A network that does not exist is made, a nat one, and removed at the
// end.
func OnNetwork(name string) Option {
	return func(s *suite) { s.onNetwork = name }
}

// Run checks that the clients that open returns do what hns.Client promises.
// Each case opens its own.
func Run(t *testing.T, open func(t *testing.T) hns.Client, opts ...Option) {
	s := &suite{open: open}
	for _, o := range opts {
		o(s)
	}
	if s.onNetwork != "" {
		s.ensureNetwork(s.env(t))
	}
	for _, group := range [][]testCase{featureCases, networkCases, endpointCases, policyCases, namespaceCases, questionCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				if c.makesNetworks && s.onNetwork != "" {
					t.Skipf("makes networks, and the suite was told to use %s", s.onNetwork)
				}
				c.run(s.env(t))
			})
		}
	}
}

type testCase struct {
	name string
	run  func(*env)
	// makesNetworks marks a case that cannot use a given network.
	makesNetworks bool
}

type suite struct {
	open      func(t *testing.T) hns.Client
	onNetwork string
	made      int
}

// env is what a case works with.
type env struct {
	*testing.T
	hns.Client
	suite    *suite
	features hns.Features
	// endpoints are the ids of those that the case has created.
	endpoints []string
}

func (s *suite) env(t *testing.T) *env {
	e := &env{T: t, Client: s.open(t), suite: s}
	var err error
	if e.features, err = e.Features(e.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func (s *suite) ensureNetwork(e *env) {
	_, err := e.Network(e.Context(), s.onNetwork)
	switch {
	case err == nil:
	case errors.Is(err, hns.ErrNotFound):
		want := e.network(hns.NAT)
		want.Name = s.onNetwork
		e.createNetwork(want)
	default:
		e.Fatal(err)
	}
}

// name returns a name that no other object has.
func (e *env) name() string {
	e.suite.made++
	return fmt.Sprintf("%s%s-%d", Prefix, strings.ToLower(rand.Text()[:8]), e.suite.made)
}

// network returns a network of that driver to ask for.
func (e *env) network(driver hns.Driver) hns.Network {
	want := hns.Network{Name: e.name(), Driver: driver}
	n := e.suite.made % 256
	s := hns.Subnet{
		Prefix:  netip.MustParsePrefix(fmt.Sprintf("10.213.%d.0/24", n)),
		Gateway: netip.MustParseAddr(fmt.Sprintf("10.213.%d.1", n)),
	}
	if driver == hns.Overlay {
		s.VSID = 5000
	}
	want.Subnets = []hns.Subnet{s}
	return want
}

// createNetwork makes a network that goes away with the case.
func (e *env) createNetwork(want hns.Network) hns.Network {
	e.Helper()
	got, err := e.CreateNetwork(e.Context(), want)
	if err != nil {
		e.Fatal(err)
	}
	e.remove("network "+want.Name, func(ctx context.Context) error { return e.DeleteNetwork(ctx, got.ID) })
	return got
}

// anyNetwork returns the network that the suite was told to use, or a new one
// whose ports have the VFP.
func (e *env) anyNetwork() hns.Network {
	e.Helper()
	if e.suite.onNetwork == "" {
		return e.createNetwork(e.network(hns.L2Bridge))
	}
	n, err := e.Network(e.Context(), e.suite.onNetwork)
	if err != nil {
		e.Fatal(err)
	}
	return n
}

// endpoint returns the least endpoint on a network to ask for.
func (e *env) endpoint(n hns.Network) hns.Endpoint {
	return hns.Endpoint{Name: e.name(), NetworkID: n.ID}
}

// createEndpoint makes an endpoint that goes away with the case, and returns it as
// HNS filled it in.
func (e *env) createEndpoint(want hns.Endpoint) hns.Endpoint {
	e.Helper()
	id, err := e.CreateEndpoint(e.Context(), want)
	if err != nil {
		e.Fatalf("create %+v: %v", want, err)
	}
	got, err := e.Endpoint(e.Context(), id)
	if errors.Is(err, hns.ErrNotFound) {
		got, err = e.createdAs(want.Name)
	}
	if err != nil {
		got.ID = id
	}
	e.endpoints = append(e.endpoints, got.ID)
	e.remove("endpoint "+want.Name, func(ctx context.Context) error { return e.DeleteEndpoint(ctx, got.ID) })
	e.must(err)
	return got
}

// createdAs returns the endpoint of that name that was created last, where HNS chose
// another id for it than it was asked for.
func (e *env) createdAs(name string) (hns.Endpoint, error) {
	e.Helper()
	named, err := e.EndpointsNamed(e.Context(), name)
	if err != nil {
		return hns.Endpoint{}, err
	}
	for _, got := range named {
		if !slices.Contains(e.endpoints, got.ID) {
			return got, nil
		}
	}
	return hns.Endpoint{}, fmt.Errorf("no new endpoint is called %q: %w", name, hns.ErrNotFound)
}

// createNamespace makes a namespace that goes away with the case.
func (e *env) createNamespace(id string) hns.Namespace {
	e.Helper()
	got, err := e.CreateNamespace(e.Context(), id)
	if err != nil {
		e.Fatal(err)
	}
	e.remove("namespace "+got.ID, func(ctx context.Context) error { return e.DeleteNamespace(ctx, got.ID) })
	return got
}

// remove takes an object away at the end of the case, if it is still there.
func (e *env) remove(what string, del func(context.Context) error) {
	e.Cleanup(func() {
		// The test's own context is over by now.
		if err := del(context.Background()); err != nil && !errors.Is(err, hns.ErrNotFound) {
			e.Errorf("%s stays behind: %v", what, err)
		}
	})
}

// freeAddress returns an address of the network's first subnet that HNS is not
// likely to have given away, or skips the case.
func (e *env) freeAddress(n hns.Network) netip.Prefix {
	e.Helper()
	if len(n.Subnets) == 0 {
		e.Skipf("network %s has no subnet", n.Name)
	}
	p := n.Subnets[0].Prefix
	e.suite.made++
	a := p.Masked().Addr()
	for range 100 + e.suite.made%100 {
		a = a.Next()
	}
	if !p.Contains(a) {
		e.Skipf("subnet %s is too small", p)
	}
	return netip.PrefixFrom(a, p.Bits())
}

// fails checks that err is an *hns.Error of one of the kinds, and returns its
// code.
func (e *env) fails(what string, err error, kinds ...error) hns.HRESULT {
	e.Helper()
	var native *hns.Error
	if !errors.As(err, &native) {
		e.Fatalf("%s: got %v, want an *hns.Error that is %v", what, err, kinds)
	}
	if native.Op == "" {
		e.Errorf("%s: %v does not say what was attempted", what, err)
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return native.Code
		}
	}
	e.Errorf("%s: got %v, want %v", what, err, kinds)
	return native.Code
}

// must ends the case when err is not nil.
func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

var featureCases = []testCase{
	{name: "features: version", run: func(e *env) {
		if !e.features.V2() {
			e.Errorf("HNS %s does not speak schema 2", e.features.Version)
		}
		e.Logf("HNS %s: DSR %v, IPv6 %v, VXLAN port %v", e.features.Version,
			e.features.DSR(), e.features.IPv6(), e.features.VXLANPort())
	}},
}
