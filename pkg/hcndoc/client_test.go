// SPDX-License-Identifier: Apache-2.0

package hcndoc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
)

// script is a Service that answers from a list and notes what it was asked.
type script struct {
	answers []answer
	asked   []string
}

type answer struct {
	documents []string
	err       error
}

func (s *script) next(format string, args ...any) ([][]byte, error) {
	s.asked = append(s.asked, fmt.Sprintf(format, args...))
	if len(s.answers) == 0 {
		return nil, nil
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	var documents [][]byte
	for _, d := range a.documents {
		documents = append(documents, []byte(d))
	}
	return documents, a.err
}

func (s *script) Call(_ context.Context, method, path string, document []byte) ([]byte, error) {
	d, err := s.next("call %s %s %s", method, path, document)
	return append(d, nil)[0], err
}

func (s *script) List(_ context.Context, kind Kind, query []byte) ([][]byte, error) {
	return s.next("list %s %s", kind, query)
}

func (s *script) Get(_ context.Context, kind Kind, id string) ([]byte, error) {
	d, err := s.next("get %s %s", kind, id)
	return append(d, nil)[0], err
}

func (s *script) CreateEndpoint(_ context.Context, network, id string, document []byte) error {
	_, err := s.next("create Endpoint %s on %s %s", id, network, document)
	return err
}

func (s *script) Close(context.Context) error {
	_, err := s.next("close")
	return err
}

func (s *script) Create(_ context.Context, kind Kind, document []byte) ([]byte, error) {
	d, err := s.next("create %s %s", kind, document)
	return append(d, nil)[0], err
}

func (s *script) Modify(_ context.Context, kind Kind, id string, document []byte) error {
	_, err := s.next("modify %s %s %s", kind, id, document)
	return err
}

func (s *script) Delete(_ context.Context, kind Kind, id string) error {
	_, err := s.next("delete %s %s", kind, id)
	return err
}

func code(c hns.HRESULT) error { return &hns.Error{Code: c} }

func doc(id, members string) string { return `{"ID":"` + id + `"` + members + `}` }

func TestListIsReadAgain(t *testing.T) {
	tests := []struct {
		name  string
		fails []error
		want  error
		asked int
	}{
		{"one went away", []error{code(hns.CodeEndpointNotFound)}, nil, 2},
		{"another went away", []error{code(hns.CodeEndpointNotFound), code(hns.CodeNotFound), code(hns.CodeTornDown)}, nil, 4},
		{"they never stop", []error{
			code(hns.CodeEndpointNotFound), code(hns.CodeEndpointNotFound), code(hns.CodeEndpointNotFound),
			code(hns.CodeEndpointNotFound), code(hns.CodeEndpointNotFound),
		}, hns.ErrBusy, 5},
		{"HNS is down", []error{code(hns.CodeServiceNotActive)}, hns.ErrUnavailable, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{}
			for _, err := range tt.fails {
				s.answers = append(s.answers, answer{err: err})
			}
			s.answers = append(s.answers, answer{documents: []string{doc(endpointID, `,"Name":"e"`)}})
			got, err := NewClient(s).EndpointsNamed(t.Context(), "e")
			if !errors.Is(err, tt.want) || errors.Is(err, hns.ErrNotFound) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if (err == nil) != (len(got) == 1) {
				t.Errorf("got %v with %v", got, err)
			}
			if len(s.asked) != tt.asked {
				t.Errorf("asked %d times, want %d", len(s.asked), tt.asked)
			}
		})
	}
}

// HNS's filter may match more than it was asked for.
func TestFilterIsNotTrusted(t *testing.T) {
	other := strings.Replace(endpointID, "b2", "d4", 1)
	all := answer{documents: []string{
		doc(endpointID, `,"Name":"E","HostComputeNetwork":"`+strings.ToUpper(networkID)+`"`),
		doc(other, `,"Name":"other"`),
	}}
	s := &script{answers: []answer{all, all, all}}
	c := NewClient(s)
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

func TestWhatIsAsked(t *testing.T) {
	const query = `{"SchemaVersion":{"Major":2,"Minor":0},"Filter":"{\"`
	upper := strings.ToUpper
	ctx := t.Context()
	tests := []struct {
		name string
		ask  func(hns.Client) error
		want string
	}{
		{"features", func(c hns.Client) error { _, err := c.Features(ctx); return err }, `call GET /globals/version `},
		{"network", func(c hns.Client) error { _, err := c.Network(ctx, "n"); return err },
			`list Network ` + query + `Name\":\"n\"}"}`},
		{"list networks", func(c hns.Client) error { _, err := c.ListNetworks(ctx); return err }, `call GET /networks/ `},
		{"delete network", func(c hns.Client) error { return c.DeleteNetwork(ctx, upper(networkID)) },
			`delete Network ` + networkID},
		{"endpoint", func(c hns.Client) error { _, err := c.Endpoint(ctx, upper(endpointID)); return err },
			`get Endpoint ` + endpointID},
		{"endpoints of a network", func(c hns.Client) error { _, err := c.EndpointsOf(ctx, "{"+networkID+"}"); return err },
			`list Endpoint ` + query + `VirtualNetwork\":\"` + networkID + `\"}"}`},
		{"create endpoint", func(c hns.Client) error {
			_, err := c.CreateEndpoint(ctx, hns.Endpoint{ID: upper(endpointID), NetworkID: upper(networkID), NamespaceID: namespaceID})
			return err
		}, `create Endpoint ` + endpointID + ` on ` + networkID + ` {"HostComputeNetwork":"` + networkID + `","SchemaVersion":{"Major":2,"Minor":0}}`},
		{"set policies", func(c hns.Client) error { return c.SetPolicies(ctx, upper(endpointID), nil) },
			`modify Endpoint ` + endpointID + ` {"ResourceType":"Policy","RequestType":"Update","Settings":{"Policies":[]}}`},
		{"delete endpoint", func(c hns.Client) error { return c.DeleteEndpoint(ctx, upper(endpointID)) },
			`delete Endpoint ` + endpointID},
		{"namespace", func(c hns.Client) error { _, err := c.Namespace(ctx, upper(namespaceID)); return err },
			`get Namespace ` + namespaceID},
		{"list namespaces", func(c hns.Client) error { _, err := c.ListNamespaces(ctx); return err },
			`list Namespace {"SchemaVersion":{"Major":2,"Minor":0}}`},
		{"create namespace", func(c hns.Client) error { _, err := c.CreateNamespace(ctx, upper(namespaceID)); return err },
			`create Namespace {"ID":"` + namespaceID + `","SchemaVersion":{"Major":2,"Minor":0}}`},
		{"delete namespace", func(c hns.Client) error { return c.DeleteNamespace(ctx, upper(namespaceID)) },
			`delete Namespace ` + namespaceID},
		{"attach", func(c hns.Client) error { return c.Attach(ctx, upper(namespaceID), upper(endpointID)) },
			`modify Namespace ` + namespaceID + ` {"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":"` + endpointID + `"}}`},
		{"detach", func(c hns.Client) error { return c.Detach(ctx, upper(namespaceID), upper(endpointID)) },
			`modify Namespace ` + namespaceID + ` {"ResourceType":"Endpoint","RequestType":"Remove","Settings":{"EndpointId":"` + endpointID + `"}}`},
		{"attach container", func(c hns.Client) error { return c.AttachContainer(ctx, upper(namespaceID), "Runtime's Own") },
			`modify Namespace ` + namespaceID + ` {"ResourceType":"Container","RequestType":"Add","Settings":{"ContainerId":"Runtime's Own"}}`},
		{"close", func(c hns.Client) error { return c.Close(ctx) }, "close"},
		{"detach container", func(c hns.Client) error { return c.DetachContainer(ctx, upper(namespaceID), "c1") },
			`modify Namespace ` + namespaceID + ` {"ResourceType":"Container","RequestType":"Remove","Settings":{"ContainerId":"c1"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &script{answers: []answer{{err: code(hns.CodeServiceNotActive)}}}
			err := tt.ask(NewClient(s))
			var e *hns.Error
			if !errors.As(err, &e) || e.Op == "" || e.Code != hns.CodeServiceNotActive {
				t.Errorf("error %#v", err)
			}
			if d := cmp.Diff([]string{tt.want}, s.asked); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
		})
	}
}

// An id that is none cannot be asked for, and HNS is not.
func TestInvalidIDs(t *testing.T) {
	const none = "none"
	ctx := t.Context()
	s := &script{}
	c := NewClient(s)
	result := func(_ any, err error) error { return err }
	for name, err := range map[string]error{
		"delete network":              c.DeleteNetwork(ctx, none),
		"endpoint":                    result(c.Endpoint(ctx, "")),
		"endpoints of":                result(c.EndpointsOf(ctx, none)),
		"create endpoint":             result(c.CreateEndpoint(ctx, hns.Endpoint{})),
		"create endpoint with an id":  result(c.CreateEndpoint(ctx, hns.Endpoint{ID: none, NetworkID: networkID})),
		"set policies":                c.SetPolicies(ctx, none, nil),
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
	if len(s.asked) > 0 {
		t.Errorf("HNS was asked: %q", s.asked)
	}
}

func TestErrorsSayWhat(t *testing.T) {
	tests := []struct {
		name   string
		answer answer
		want   string
	}{
		{"HNS refused", answer{err: &hns.Error{Code: 0x803b001e, Err: errors.New("HcnCreateEndpoint failed")}},
			"create endpoint pod: 0x803b001e HCN_E_INVALID_IP (IP address is either invalid or not part of any configured subnet(s)): HcnCreateEndpoint failed"},
		{"an error of another type", answer{err: fmt.Errorf("read: %w", context.DeadlineExceeded)},
			"create endpoint pod: read: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewClient(&script{answers: []answer{tt.answer}}).CreateEndpoint(t.Context(), hns.Endpoint{Name: "pod", NetworkID: networkID})
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if _, ok := err.(*hns.Error); !ok { //nolint:errorlint // the type is the contract
				t.Errorf("%T is not *hns.Error", err)
			}
		})
	}
}
