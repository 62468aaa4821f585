// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// namespaceDocuments hold what a document becomes in either schema.
var namespaceDocuments = []struct{ name, document, v2, v1 string }{
	{
		"containerd's", `{"SchemaVersion":{"Major":0,"Minor":0}}`,
		`{"ID":"<id>","Type":"Host","State":1,"SchemaVersion":{"Major":2,"Minor":0}}`,
		`{
			"ID":"<id>",
			"CompartmentId":0,
			"IsDefault":false,
			"Containers":[],
			"ResourceList":[],
			"Policies":[],
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"hcsshim's", v2(`"Type":"HostDefault","NamespaceId":5`),
		`{
			"ID":"<id>",
			"Type":"HostDefault",
			"NamespaceId":1,
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0}
		}`,
		`{
			"ID":"<id>",
			"CompartmentId":1,
			"CompartmentGuid":"<id>",
			"IsDefault":true,
			"Containers":[],
			"ResourceList":[],
			"Policies":[],
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"v1", `{"IsDefault":true}`,
		`{
			"ID":"<id>",
			"Type":"HostDefault",
			"NamespaceId":1,
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0}
		}`,
		`{
			"ID":"<id>",
			"CompartmentId":1,
			"CompartmentGuid":"<id>",
			"IsDefault":true,
			"Containers":[],
			"ResourceList":[],
			"Policies":[],
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"with compartment", `{"CreateWithCompartment":true}`,
		`{
			"ID":"<id>",
			"Type":"Host",
			"NamespaceId":2,
			"State":1,
			"SchemaVersion":{"Major":2,"Minor":0}
		}`,
		`{
			"ID":"<id>",
			"CompartmentId":2,
			"CompartmentGuid":"<id>",
			"IsDefault":false,
			"Containers":[],
			"ResourceList":[],
			"Policies":[],
			"State":1,
			"Version":64424509444
		}`,
	},
	{
		"guest", v2(`"Type":"GuestDefault"`),
		`{"ID":"<id>","Type":"GuestDefault","State":1,"SchemaVersion":{"Major":2,"Minor":0}}`,
		`{
			"ID":"<id>",
			"CompartmentId":0,
			"IsDefault":false,
			"Containers":[],
			"ResourceList":[],
			"Policies":[],
			"State":1,
			"Version":64424509444
		}`,
	},
}

func TestNamespaceDocuments(t *testing.T) {
	for _, tc := range namespaceDocuments {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, "2025")
			id := c.create("Namespace", tc.document)
			c.sameJSON(tc.v2, c.query("Namespace", id, ""))
			c.sameJSON(tc.v1, c.outputV1("GET", "/namespaces/"+id, ""))
			c.must("HcnDeleteNamespace", id)
			c.must("HcnDeleteNamespace", c.create("Namespace", tc.document))
		})
	}
}

// resource changes a resource of a namespace and returns the code.
func (c client) resource(namespace, resource, request, id string) hns.HRESULT {
	c.Helper()
	return c.modify("Namespace", namespace, fmt.Sprintf(
		`{"ResourceType":%q,"RequestType":%q,"Settings":{%q:%q}}`, resource, request, resource+"Id", id))
}

func TestNamespaceResources(t *testing.T) {
	c := newClient(t, "2025")
	n := c.network("NAT", "n")
	e := c.createEndpoint(n, v2(`"Name":"e"`))
	s, other := c.create("Namespace", `{}`), c.create("Namespace", `{}`)
	for _, tc := range []struct {
		namespace, resource, request, id string
		want                             hns.HRESULT
	}{
		{s, "Endpoint", "Add", e, 0},
		{s, "Endpoint", "Add", strings.ToUpper(e), 0},
		{other, "Endpoint", "Add", e, 0x803b002b},
		{other, "Endpoint", "Remove", e, 0x80070490},
		{s, "Endpoint", "Add", unknownID, 0x803b0002},
		{s, "Endpoint", "Remove", unknownID, 0x803b0002},
		{s, "Endpoint", "Add", "e", 0x803b001b},
		{s, "Endpoint", "Update", e, 0x803b0015},
		{s, "Container", "Add", "c", 0},
		{s, "Container", "Add", "c", 0},
		{s, "Container", "Add", "", 0x80070057},
		{s, "Container", "Remove", "d", 0x80070490},
		{s, "Network", "Add", "n", 0x803b0015},
	} {
		if got := c.resource(tc.namespace, tc.resource, tc.request, tc.id); got != tc.want {
			t.Errorf("%s %s %s: %s, want %s", tc.request, tc.resource, tc.id, got, tc.want)
		}
	}
	if got := c.modify("Namespace", s, `{"ResourceType":"Endpoint","RequestType":"Add","Settings":[]}`); got != schema.CodeInvalidJSON {
		t.Errorf("garbage: %s", got)
	}
	want := fmt.Sprintf(`[{"Data":{"Id":%q},"Type":"Endpoint"},{"Data":{"Id":"c"},"Type":"Container"}]`, strings.ToUpper(e))
	if got := schema.Marshal(c.query("Namespace", s, "")["Resources"]); got != want {
		t.Errorf("resources %s, want %s", got, want)
	}
	if got := schema.Marshal(c.outputV1("GET", "/namespaces/"+s, "")["ResourceList"]); got != want {
		t.Errorf("v1 resources %s, want %s", got, want)
	}
	if got := c.query("Endpoint", e, "")["HostComputeNamespace"]; got != s {
		t.Errorf("namespace of the endpoint: %v", got)
	}
	v1 := schema.Marshal(c.outputV1("GET", "/endpoints/"+e, "")["Namespace"])
	if want := fmt.Sprintf(`{"CompartmentId":2,"ID":%q}`, strings.ToUpper(s)); v1 != want {
		t.Errorf("v1 namespace of the endpoint %s, want %s", v1, want)
	}
}

// TestContainerLife follows an endpoint's state and its namespace's compartment.
func TestContainerLife(t *testing.T) {
	for _, tc := range []struct {
		isolation hns.Isolation
		running   uint16
	}{{"", schema.StateAttachedSharing}, {hns.Process, schema.StateAttachedSharing}, {hns.HyperV, schema.StateAttached}} {
		t.Run(string(tc.isolation), func(t *testing.T) {
			c := newClient(t, "2025")
			n := c.network("L2Bridge", "n")
			e, late := c.createEndpoint(n, v2(`"Name":"e"`)), c.createEndpoint(n, v2(`"Name":"late"`))
			s := c.create("Namespace", `{}`)
			c.attach(s, e)
			c.expect("added", s, 0, e, schema.StateCreated)
			c.start(Container{ID: "sandbox", NamespaceID: strings.ToUpper(s), Isolation: tc.isolation})
			c.expect("sandbox started", s, 2, e, tc.running)
			c.start(Container{ID: "worker", NamespaceID: s, Isolation: tc.isolation})
			c.attach(s, late)
			c.expect("hot-added", s, 2, late, tc.running)
			c.stop("worker")
			c.expect("worker stopped", s, 2, e, tc.running)
			if got := c.resource(s, "Endpoint", "Remove", late); got != 0 {
				t.Errorf("remove: %s", got)
			}
			c.expect("hot-removed", s, 2, late, schema.StateDetached)
			if got := c.call("HcnDeleteNamespace", s).Code; got != 0x803b0015 {
				t.Errorf("deleting a namespace in use: %s", got)
			}
			if got := c.query("Namespace", s, "")["State"]; got != 4.0 {
				t.Errorf("state after the refusal: %v", got)
			}
			c.stop("sandbox")
			c.expect("sandbox stopped", s, 0, e, schema.StateDetached)
			c.must("HcnDeleteNamespace", s)
			if got := c.query("Endpoint", e, "")["HostComputeNamespace"]; got != hns.ZeroGUID {
				t.Errorf("namespace of the endpoint afterwards: %v", got)
			}
		})
	}
}

func (c client) start(container Container) {
	c.Helper()
	if err := c.StartContainer(container); err != nil {
		c.Fatal(err)
	}
}

func (c client) stop(id string) {
	c.Helper()
	if err := c.StopContainer(id); err != nil {
		c.Fatal(err)
	}
}

// expect compares a namespace's compartment and an endpoint's state.
func (c client) expect(when, namespace string, compartment float64, endpoint string, state uint16) {
	c.Helper()
	got, _ := c.query("Namespace", namespace, "")["NamespaceId"].(float64)
	if got != compartment {
		c.Errorf("%s: compartment %v, want %v", when, got, compartment)
	}
	if got := c.query("Endpoint", endpoint, "")["State"]; got != float64(state) {
		c.Errorf("%s: state %v, want %v", when, got, state)
	}
}

func TestCompartments(t *testing.T) {
	c := newClient(t, "2025")
	var got []any
	for i := range 3 {
		s := c.create("Namespace", `{}`)
		c.start(Container{ID: fmt.Sprint(i), NamespaceID: s})
		got = append(got, c.query("Namespace", s, "")["NamespaceId"])
	}
	c.stop("1")
	s := c.create("Namespace", `{}`)
	c.start(Container{ID: "again", NamespaceID: s})
	got = append(got, c.query("Namespace", s, "")["NamespaceId"])
	if diff := cmp.Diff([]any{2.0, 3.0, 4.0, 3.0}, got); diff != "" {
		t.Errorf("compartments (-want +got):\n%s", diff)
	}
}

// TestHostDefault is the v2 way to attach an endpoint to the node itself.
func TestHostDefault(t *testing.T) {
	c := newClient(t, "2025")
	e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	s := c.create("Namespace", v2(`"Type":"HostDefault"`))
	c.attach(s, e)
	c.expect("added", s, 1, e, schema.StateAttached)
	c.start(Container{ID: "job", NamespaceID: s})
	c.stop("job")
	c.expect("a container came and went", s, 1, e, schema.StateAttachedSharing)
	c.must("HcnDeleteNamespace", s)
	if got := c.query("Endpoint", e, "")["State"]; got != float64(schema.StateDetached) {
		t.Errorf("state afterwards: %v", got)
	}
	c.create("Namespace", v2(`"Type":"HostDefault"`))
	c.create("Namespace", v2(`"Type":"HostDefault"`))
}

func TestStartContainerErrors(t *testing.T) {
	c := newClient(t, "2025")
	s := c.create("Namespace", `{}`)
	c.start(Container{ID: "there", NamespaceID: s})
	for name, tc := range map[string]struct {
		container Container
		want      hns.HRESULT
	}{
		"unknown namespace": {Container{ID: "c", NamespaceID: unknownID}, 0x80070490},
		"no namespace":      {Container{ID: "c", NamespaceID: "none"}, 0x80070057},
		"no id":             {Container{NamespaceID: s}, 0x80071392},
		"runs already":      {Container{ID: "there", NamespaceID: s}, 0x80071392},
		"isolation":         {Container{ID: "c", NamespaceID: s, Isolation: "vm"}, 0x80070057},
	} {
		err := c.StartContainer(tc.container)
		if got := asError(err).Code; got != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	if err := c.StopContainer("nobody"); err == nil {
		t.Error("a container that does not run was stopped")
	}
}

// TestReattach: on WS2019 a namespace serves one container life only.
func TestReattach(t *testing.T) {
	for profile, want := range map[string]hns.HRESULT{"2019": 0x803b002e, "2022": 0, "2025": 0} {
		c := newClient(t, profile)
		s := c.create("Namespace", `{}`)
		c.start(Container{ID: "first", NamespaceID: s})
		c.stop("first")
		err := c.StartContainer(Container{ID: "second", NamespaceID: s})
		if got := asError(err).Code; got != want {
			t.Errorf("%s: %v, want %s", profile, err, want)
		}
	}
}

// TestLeak: the id of a container that HNS did not see end blocks its namespace
// for good (Windows-Containers#485).
func TestLeak(t *testing.T) {
	c := newClient(t, "2025")
	e := c.createEndpoint(c.network("NAT", "n"), v2(`"Name":"e"`))
	s := c.create("Namespace", `{}`)
	c.attach(s, e)
	c.start(Container{ID: "c", NamespaceID: s, Leaks: true})
	c.stop("c")
	c.expect("leaked", s, 2, e, schema.StateAttachedSharing)
	if got := c.call("HcnDeleteNamespace", s).Code; got != 0x803b0015 {
		t.Errorf("delete: %s", got)
	}
	if got := c.resource(s, "Container", "Remove", "c"); got != 0 {
		t.Errorf("remove the id: %s", got)
	}
	c.must("HcnDeleteNamespace", s)
}
