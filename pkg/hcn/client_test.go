// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// TestListIsReadAgain: objects are deleted while they are listed.
func TestListIsReadAgain(t *testing.T) {
	gone, missing, torn := code(hns.CodeEndpointNotFound), code(hns.CodeNotFound), code(hns.CodeTornDown)
	tests := []struct {
		name string
		// open and query are how the first calls of that kind fail.
		open, query []error
		want        error
		lists       int
	}{
		{"none goes away", nil, nil, nil, 1},
		{"one goes away", []error{gone}, nil, nil, 2},
		{"one goes away after it was opened", nil, []error{torn}, nil, 2},
		{"others go away", []error{gone, nil, missing}, []error{torn}, nil, 4},
		{"they never stop", []error{gone, gone, gone, gone, gone}, nil, hns.ErrBusy, 5},
		{"HNS is down", []error{code(hns.CodeServiceNotActive)}, nil, hns.ErrUnavailable, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.documents[endpointID] = doc(endpointID, `,"Name":"e"`)
			lists := 0
			next := func(list *[]error) (err error) {
				if len(*list) > 0 {
					err, *list = (*list)[0], (*list)[1:]
				}
				return err
			}
			f.intercept = func(_ int, call string) error {
				switch verb, _, _ := strings.Cut(call, " "); verb {
				case "enumerate":
					lists++
				case "open":
					return next(&tt.open)
				case "query":
					return next(&tt.query)
				}
				return nil
			}
			got, err := f.client().EndpointsNamed(t.Context(), "e")
			if !errors.Is(err, tt.want) || errors.Is(err, hns.ErrNotFound) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if (err == nil) != (len(got) == 1) {
				t.Errorf("got %v with %v", got, err)
			}
			if lists != tt.lists {
				t.Errorf("listed %d times, want %d", lists, tt.lists)
			}
			f.check(t)
		})
	}
}

// TestNotFoundIsConfirmed: HNS says of much that fails that it does not find it.
func TestNotFoundIsConfirmed(t *testing.T) {
	tests := []struct {
		name  string
		fails map[string]error // by verb, the first call only
		ids   []string
		want  error
		code  hns.HRESULT
	}{
		{"it is there", map[string]error{"open": code(hns.CodeNotFound)}, []string{endpointID}, nil, 0},
		{"it was made again", map[string]error{"query": code(hns.CodeTornDown)}, []string{endpointID}, nil, 0},
		{"it is not there", map[string]error{"open": code(hns.CodeNotFound)}, nil, hns.ErrNotFound, hns.CodeEndpointNotFound},
		{"it was deleted", map[string]error{"query": code(hns.CodeTornDown)}, nil, hns.ErrNotFound, hns.CodeEndpointNotFound},
		{"nobody knows", map[string]error{"open": code(hns.CodeNotFound), "enumerate": code(hns.CodeCallFailed)}, nil, hns.ErrUnavailable, hns.CodeCallFailed},
		{"another failure", map[string]error{"open": code(hns.CodeCallFailed)}, nil, hns.ErrUnavailable, hns.CodeCallFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.ids = tt.ids
			f.intercept = func(_ int, call string) error {
				verb, _, _ := strings.Cut(call, " ")
				err := tt.fails[verb]
				delete(tt.fails, verb)
				return err
			}
			got, err := f.client().Endpoint(t.Context(), endpointID)
			var e *hns.Error
			if errors.As(err, &e); !errors.Is(err, tt.want) || e != nil && e.Code != tt.code {
				t.Errorf("got %v, want %v with code %s", err, tt.want, tt.code)
			}
			if (err == nil) != (got.ID == endpointID) {
				t.Errorf("got %v with %v", got, err)
			}
			f.check(t)
		})
	}
}

// TestStaleObject: an object is deleted between its open and its change, or HNS
// restarts. That is an error, and nothing is tried again.
func TestStaleObject(t *testing.T) {
	for _, stale := range []hns.HRESULT{hns.CodeTornDown, hns.CodeInvalidHandle} {
		for name, call := range map[string]func(hns.Client) error{
			"modify": func(c hns.Client) error { return c.Attach(t.Context(), namespaceID, endpointID) },
			"create": func(c hns.Client) error {
				_, err := c.CreateEndpoint(t.Context(), hns.Endpoint{NetworkID: networkID})
				return err
			},
		} {
			f := newFake()
			f.intercept = func(_ int, call string) error {
				if strings.HasPrefix(call, name) {
					return code(stale)
				}
				return nil
			}
			err := call(f.client())
			var e *hns.Error
			if !errors.As(err, &e) || e.Code != stale {
				t.Errorf("%s: got %v, want %s", name, err, stale)
			}
			if len(f.made()) != 3 {
				t.Errorf("%s: %q were called, want open, %s and close", name, f.made(), name)
			}
			f.check(t)
		}
	}
}

// HNS's filter may match more than it was asked for.
func TestFilterIsNotTrusted(t *testing.T) {
	other := strings.Replace(endpointID, "b2", "d4", 1)
	f := newFake()
	f.ids = []string{endpointID, other}
	f.documents[endpointID] = doc(endpointID, `,"Name":"E","HostComputeNetwork":"`+strings.ToUpper(networkID)+`"`)
	f.documents[other] = doc(other, `,"Name":"other"`)
	c := f.client()
	named, err := c.EndpointsNamed(t.Context(), "e")
	if err != nil || len(named) != 1 || named[0].ID != endpointID {
		t.Errorf("EndpointsNamed = %v, %v", named, err)
	}
	of, err := c.EndpointsOf(t.Context(), strings.ToUpper(networkID))
	if err != nil || len(of) != 1 || of[0].ID != endpointID {
		t.Errorf("EndpointsOf = %v, %v", of, err)
	}
	if _, err := c.Network(t.Context(), "podnet"); !errors.Is(err, hns.ErrNotFound) {
		t.Errorf("Network = %v", err)
	}
}

// TestArguments pins what the native functions are given.
func TestArguments(t *testing.T) {
	const query = `{"SchemaVersion":{"Major":2,"Minor":0},"Filter":"{\"`
	upper := strings.ToUpper
	ctx := t.Context()
	tests := []struct {
		name string
		call func(hns.Client) error
		want []string
	}{
		{"features", func(c hns.Client) error { _, err := c.Features(ctx); return err }, []string{`call GET /globals/version`}},
		{"network", func(c hns.Client) error { _, err := c.Network(ctx, "n"); return err },
			[]string{`enumerate Network ` + query + `Name\":\"n\"}"}`, `open Network ` + endpointID, `query Network ` + query + `Name\":\"n\"}"}`, `close Network`}},
		{"list networks", func(c hns.Client) error { _, err := c.ListNetworks(ctx); return err }, []string{`call GET /networks/`}},
		{"create network", func(c hns.Client) error {
			_, err := c.CreateNetwork(ctx, hns.Network{Name: "n", Driver: hns.L2Bridge})
			return err
		}, []string{`create Network {"Name":"n","Type":"L2Bridge","SchemaVersion":{"Major":2,"Minor":0}}`}},
		{"delete network", func(c hns.Client) error { return c.DeleteNetwork(ctx, upper(networkID)) },
			[]string{`delete Network ` + networkID}},
		{"endpoint", func(c hns.Client) error { _, err := c.Endpoint(ctx, upper(endpointID)); return err },
			[]string{`open Endpoint ` + endpointID, `query Endpoint {"SchemaVersion":{"Major":2,"Minor":0}}`, `close Endpoint`}},
		{"endpoints of a network", func(c hns.Client) error { _, err := c.EndpointsOf(ctx, "{"+networkID+"}"); return err },
			[]string{`enumerate Endpoint ` + query + `VirtualNetwork\":\"` + networkID + `\"}"}`, `open Endpoint ` + endpointID,
				`query Endpoint ` + query + `VirtualNetwork\":\"` + networkID + `\"}"}`, `close Endpoint`}},
		{"create endpoint", func(c hns.Client) error {
			_, err := c.CreateEndpoint(ctx, hns.Endpoint{ID: upper(endpointID), NetworkID: upper(networkID), NamespaceID: namespaceID})
			return err
		}, []string{`open Network ` + networkID, `create Endpoint ` + endpointID + ` {"HostComputeNetwork":"` + networkID + `","SchemaVersion":{"Major":2,"Minor":0}}`,
			`close Network`, `close Endpoint`}},
		{"set policies", func(c hns.Client) error { return c.SetPolicies(ctx, upper(endpointID), nil) },
			[]string{`open Endpoint ` + endpointID, `modify Endpoint {"ResourceType":"Policy","RequestType":"Update","Settings":{"Policies":[]}}`, `close Endpoint`}},
		{"add policies", func(c hns.Client) error { return c.AddPolicies(ctx, upper(endpointID), nil) },
			[]string{`open Endpoint ` + endpointID, `modify Endpoint {"ResourceType":"Policy","RequestType":"Add","Settings":{"Policies":[]}}`, `close Endpoint`}},
		{"remove policies", func(c hns.Client) error { return c.RemovePolicies(ctx, upper(endpointID), nil) },
			[]string{`open Endpoint ` + endpointID, `modify Endpoint {"ResourceType":"Policy","RequestType":"Remove","Settings":{"Policies":[]}}`, `close Endpoint`}},
		{"attach to the node", func(c hns.Client) error { return c.AttachHost(ctx, upper(endpointID)) },
			[]string{`call POST /endpoints/` + endpointID + `/attach {"CompartmentId":1,"SystemType":"Host"}`}},
		{"delete endpoint", func(c hns.Client) error { return c.DeleteEndpoint(ctx, upper(endpointID)) },
			[]string{`delete Endpoint ` + endpointID}},
		{"namespace", func(c hns.Client) error { _, err := c.Namespace(ctx, upper(namespaceID)); return err },
			[]string{`open Namespace ` + namespaceID, `query Namespace {"SchemaVersion":{"Major":2,"Minor":0}}`, `close Namespace`}},
		{"list namespaces", func(c hns.Client) error { _, err := c.ListNamespaces(ctx); return err },
			[]string{`enumerate Namespace {"SchemaVersion":{"Major":2,"Minor":0}}`, `open Namespace ` + endpointID,
				`query Namespace {"SchemaVersion":{"Major":2,"Minor":0}}`, `close Namespace`}},
		{"create namespace", func(c hns.Client) error { _, err := c.CreateNamespace(ctx, upper(namespaceID)); return err },
			[]string{`create Namespace {"ID":"` + namespaceID + `","SchemaVersion":{"Major":2,"Minor":0}}`}},
		{"delete namespace", func(c hns.Client) error { return c.DeleteNamespace(ctx, upper(namespaceID)) },
			[]string{`delete Namespace ` + namespaceID}},
		{"attach", func(c hns.Client) error { return c.Attach(ctx, upper(namespaceID), upper(endpointID)) },
			modifies(`{"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":"` + endpointID + `"}}`)},
		{"detach", func(c hns.Client) error { return c.Detach(ctx, upper(namespaceID), upper(endpointID)) },
			modifies(`{"ResourceType":"Endpoint","RequestType":"Remove","Settings":{"EndpointId":"` + endpointID + `"}}`)},
		{"attach container", func(c hns.Client) error { return c.AttachContainer(ctx, upper(namespaceID), "Runtime's Own") },
			modifies(`{"ResourceType":"Container","RequestType":"Add","Settings":{"ContainerId":"Runtime's Own"}}`)},
		{"detach container", func(c hns.Client) error { return c.DetachContainer(ctx, upper(namespaceID), "c1") },
			modifies(`{"ResourceType":"Container","RequestType":"Remove","Settings":{"ContainerId":"c1"}}`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			// The fake's objects have no names.
			if err := tt.call(f.client()); err != nil && !errors.Is(err, hns.ErrNotFound) {
				t.Error(err)
			}
			if d := cmp.Diff(tt.want, f.made()); d != "" {
				t.Errorf("native calls (-want +got):\n%s", d)
			}
		})
	}
}

// modifies returns the calls that change the namespace.
func modifies(document string) []string {
	return []string{"open Namespace " + namespaceID, "modify Namespace " + document, "close Namespace"}
}

// An id that is none cannot be asked for, and HNS is not.
func TestInvalidIDs(t *testing.T) {
	const none = "none"
	ctx := t.Context()
	f := newFake()
	c := f.client()
	result := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"delete network":              c.DeleteNetwork(ctx, none),
		"endpoint":                    result(c.Endpoint(ctx, "")),
		"endpoints of":                result(c.EndpointsOf(ctx, none)),
		"create endpoint":             result(c.CreateEndpoint(ctx, hns.Endpoint{})),
		"create endpoint with an id":  result(c.CreateEndpoint(ctx, hns.Endpoint{ID: none, NetworkID: networkID})),
		"set policies":                c.SetPolicies(ctx, none, nil),
		"add policies":                c.AddPolicies(ctx, none, nil),
		"remove policies":             c.RemovePolicies(ctx, none, nil),
		"attach to the node":          c.AttachHost(ctx, none),
		"delete endpoint":             c.DeleteEndpoint(ctx, none),
		"namespace":                   result(c.Namespace(ctx, none)),
		"create namespace with an id": result(c.CreateNamespace(ctx, none)),
		"delete namespace":            c.DeleteNamespace(ctx, none),
		"attach to":                   c.Attach(ctx, none, endpointID),
		"attach":                      c.Attach(ctx, namespaceID, none),
		"detach from":                 c.Detach(ctx, none, endpointID),
		"detach":                      c.Detach(ctx, namespaceID, none),
		"attach container to":         c.AttachContainer(ctx, none, "c1"),
		"attach no container":         c.AttachContainer(ctx, namespaceID, ""),
		"detach container from":       c.DetachContainer(ctx, none, "c1"),
		"detach no container":         c.DetachContainer(ctx, namespaceID, ""),
	} {
		if !errors.Is(err, hns.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if len(f.made()) > 0 {
		t.Errorf("%q were called", f.made())
	}
}

func TestErrorsSayWhat(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"HNS refused", &hns.Error{Code: 0x803b001e, Err: errors.New("HcnCreateEndpoint failed")},
			"create endpoint pod: 0x803b001e HCN_E_INVALID_IP (IP address is either invalid or not part of any configured subnet(s)): HcnCreateEndpoint failed"},
		{"an error of another type", fmt.Errorf("read: %w", context.DeadlineExceeded),
			"create endpoint pod: read: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.intercept = func(int, string) error { return tt.err }
			_, err := f.client().CreateEndpoint(t.Context(), hns.Endpoint{Name: "pod", NetworkID: networkID})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if _, ok := err.(*hns.Error); !ok { //nolint:errorlint // the type is the contract
				t.Errorf("%T is not *hns.Error", err)
			}
		})
	}
}
