// SPDX-License-Identifier: Apache-2.0

package hnsemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/schema"
)

// client is a process that calls an emulated node.
type client struct {
	*testing.T
	*Host
	name string
}

// newClient returns a client of a new node.
func newClient(t *testing.T, profile string) client {
	t.Helper()
	p, err := ProfileNamed(profile)
	if err != nil {
		t.Fatal(err)
	}
	return client{t, New(p), "test"}
}

// call makes a native call that must be answered.
func (c client) call(proc string, args ...string) Reply {
	c.Helper()
	reply, err := c.Call(context.Background(), Call{Client: c.name, Proc: proc, Args: args})
	if err != nil {
		c.Fatalf("%s: %v", proc, err)
	}
	return reply
}

// must makes a native call that must succeed.
func (c client) must(proc string, args ...string) Reply {
	c.Helper()
	reply := c.call(proc, args...)
	if reply.Code != 0 || reply.Record != "" {
		c.Fatalf("%s(%s): %s: %s", proc, strings.Join(args, ", "), reply.Code, c.lastReason())
	}
	return reply
}

func (c client) lastReason() string {
	calls, _ := c.Calls()
	return calls[len(calls)-1].Reason
}

// create makes an object and returns its id.
func (c client) create(class, settings string) string {
	c.Helper()
	return c.id(class, c.must("HcnCreate"+class, "", settings).Handle)
}

// createEndpoint makes an endpoint on a network and returns its id.
func (c client) createEndpoint(network, settings string) string {
	c.Helper()
	n := c.open("Network", network)
	return c.id("Endpoint", c.must("HcnCreateEndpoint", n, "", settings).Handle)
}

func (c client) id(class string, handle uint64) string {
	c.Helper()
	var doc struct{ ID string }
	c.decode(c.must("HcnQuery"+class+"Properties", fmt.Sprint(handle), "").Out, &doc)
	return doc.ID
}

func (c client) open(class, id string) string {
	c.Helper()
	return fmt.Sprint(c.must("HcnOpen"+class, id).Handle)
}

// query returns the properties of an object.
func (c client) query(class, id, query string) map[string]any {
	c.Helper()
	var doc map[string]any
	c.decode(c.must("HcnQuery"+class+"Properties", c.open(class, id), query).Out, &doc)
	return doc
}

func (c client) decode(text string, v any) {
	c.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		c.Fatalf("decode %s: %v", text, err)
	}
}

// modify changes an object and returns the code.
func (c client) modify(class, id, settings string) hns.HRESULT {
	c.Helper()
	return c.call("HcnModify"+class, c.open(class, id), settings).Code
}

// enumerate returns the ids of the objects that pass a filter, or of all.
func (c client) enumerate(plural, filter string) []string {
	c.Helper()
	query := ""
	if filter != "" {
		query = schema.Marshal(map[string]any{"SchemaVersion": schema.V2, "Filter": filter})
	}
	var ids []string
	c.decode(c.must("HcnEnumerate"+plural, query).Out, &ids)
	return ids
}

// attach puts an endpoint into a namespace and returns the code.
func (c client) attach(namespace, endpoint string) hns.HRESULT {
	c.Helper()
	return c.modify("Namespace", namespace, fmt.Sprintf(
		`{"ResourceType":"Endpoint","RequestType":"Add","Settings":{"EndpointId":%q}}`, endpoint))
}

func (c client) dump() string {
	c.Helper()
	got, err := c.Dump()
	if err != nil {
		c.Fatal(err)
	}
	return got
}

// v2 wraps members into a v2 document.
func v2(members string) string {
	return `{"SchemaVersion":{"Major":2,"Minor":0},` + members + `}`
}

// subnetMember is an Ipams member with the subnet of hcsshim's tests.
func subnetMember(policies string) string {
	return `"Ipams":[{"Type":"Static","Subnets":[{"IpAddressPrefix":"192.168.100.0/24",` + policies +
		`"Routes":[{"NextHop":"192.168.100.1","DestinationPrefix":"0.0.0.0/0"}]}]}]`
}

const vsidPolicy = `"Policies":[{"Type":"VSID","Settings":{"IsolationId":5000}}],`

// network makes a network of a type with the subnet of hcsshim's tests.
func (c client) network(kind, name string) string {
	c.Helper()
	return c.create("Network", networkDocument(kind, name, ""))
}

func networkDocument(kind, name, members string) string {
	policies := ""
	if kind == "Overlay" {
		policies = vsidPolicy
	}
	return v2(fmt.Sprintf(`"Type":%q,"Name":%q,%s`, kind, name, members) + subnetMember(policies))
}

// asError returns the error of HNS that err is, or an empty one.
func asError(err error) *hns.Error {
	var e *hns.Error
	if errors.As(err, &e) {
		return e
	}
	return &hns.Error{}
}

func prefixOf(s string) netip.Prefix { return netip.MustParsePrefix(s) }

const (
	unknownID = "5f0b1190-63be-4e0c-b974-bd0f55675a42"
	otherID   = "5f0b1190-63be-4e0c-b974-bd0f55675a43"
)

func TestProfileNamed(t *testing.T) {
	for _, tc := range []struct {
		name string
		want hns.Version
		err  bool
	}{
		{name: "2019", want: hns.Version{Major: 9, Minor: 5}},
		{name: "2022", want: hns.Version{Major: 13, Minor: 3}},
		{name: "2025", want: hns.Version{Major: 15, Minor: 4}},
		{name: "2016", err: true},
	} {
		got, err := ProfileNamed(tc.name)
		if (err != nil) != tc.err || got.Version != tc.want {
			t.Errorf("ProfileNamed(%q) = %v, %v; want %v, error %t", tc.name, got.Version, err, tc.want, tc.err)
		}
	}
}

// TestExports: hcsshim panics when a function is missing (hcn/hcnerrors.go).
func TestExports(t *testing.T) {
	want := map[string]bool{"HNSCall": true}
	for name, plural := range map[string]string{
		"Network": "Networks", "Endpoint": "Endpoints", "Namespace": "Namespaces",
		"LoadBalancer": "LoadBalancers", "SdnRoute": "SdnRoutes",
	} {
		for _, proc := range []string{
			"HcnEnumerate" + plural, "HcnCreate" + name, "HcnOpen" + name, "HcnModify" + name,
			"HcnQuery" + name + "Properties", "HcnDelete" + name, "HcnClose" + name,
		} {
			want[proc] = true
		}
	}
	got := map[string]bool{}
	for name := range procs {
		got[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("functions (-want +got):\n%s", diff)
	}
}

func TestErrorRecord(t *testing.T) {
	c := newClient(t, "2025")
	for _, tc := range []struct {
		proc string
		args []string
		want Reply
	}{
		{"HcnOpenEndpoint", []string{unknownID}, Reply{
			Code: 0x803b0002, Record: `{"Success":false,"Error":"The endpoint was not found. ","ErrorCode":2151350274}`,
		}},
		{"HcnOpenNamespace", []string{unknownID}, Reply{
			Code: 0x80070490, Record: `{"Success":false,"Error":"Element not found. ","ErrorCode":2147943568}`,
		}},
		{"HcnOpenNetwork", []string{unknownID}, Reply{
			Code: 0x803b0001, Record: `{"Success":false,"Error":"The network was not found. ","ErrorCode":2151350273}`,
		}},
		{"HcnQueryEndpointStats", []string{unknownID}, Reply{
			Code: 0x80004001, Record: `{"Success":false,"Error":"Not implemented. ","ErrorCode":2147500033}`,
		}},
		{"HcnCloseNetwork", []string{"1"}, Reply{
			Code: 0x80070006, Record: `{"Success":false,"Error":"The handle is invalid. ","ErrorCode":2147942406}`,
		}},
		{"HNSCall", []string{"GET", "/endpoints/" + unknownID, ""}, Reply{Code: 0x803b0002}},
	} {
		if diff := cmp.Diff(tc.want, c.call(tc.proc, tc.args...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.proc, diff)
		}
	}
}

// TestBadArguments calls each function with what it cannot digest.
func TestBadArguments(t *testing.T) {
	c := newClient(t, "2025")
	for name, p := range procs {
		if got := c.call(name).Code; got != schema.CodeInvalidParameter {
			t.Errorf("%s without arguments: %s", name, got)
		}
		if name == procHNSCall {
			continue
		}
		args := make([]string, p.args)
		for i := range args {
			args[i] = "{"
		}
		got := c.call(name, args...)
		if !got.Code.Failed() || got.Record == "" || got.Handle != 0 || got.Out != "" {
			t.Errorf("%s with garbage: %+v", name, got)
		}
	}
}

func TestHandles(t *testing.T) {
	c := newClient(t, "2025")
	other := client{t, c.Host, "other"}
	id := c.network("NAT", "n")
	handle := c.open("Network", id)

	if got := other.call("HcnQueryNetworkProperties", handle, "").Code; got != hns.CodeInvalidHandle {
		t.Errorf("another client's handle: %s", got)
	}
	if got := c.call("HcnQueryEndpointProperties", handle, "").Code; got != hns.CodeInvalidHandle {
		t.Errorf("a handle of another class: %s", got)
	}
	other.must("HcnDeleteNetwork", id)
	if got := c.call("HcnQueryNetworkProperties", handle, "").Code; got != hns.CodeTornDown {
		t.Errorf("a handle of a deleted object: %s", got)
	}
	c.must("HcnCloseNetwork", handle)
	if got := c.call("HcnCloseNetwork", handle).Code; got != hns.CodeInvalidHandle {
		t.Errorf("closing twice: %s", got)
	}
}

// TestHandleOfNewObject: an object made anew under its old id is another one.
func TestHandleOfNewObject(t *testing.T) {
	c := newClient(t, "2025")
	doc := `{"ID":"` + unknownID + `"}`
	c.create("Namespace", doc)
	handle := c.open("Namespace", unknownID)
	c.must("HcnDeleteNamespace", unknownID)
	c.create("Namespace", doc)
	if got := c.call("HcnQueryNamespaceProperties", handle, "").Code; got != hns.CodeTornDown {
		t.Errorf("the old handle: %s", got)
	}
}

func TestForgetClient(t *testing.T) {
	c := newClient(t, "2025")
	other := client{t, c.Host, "other"}
	id := c.network("NAT", "n")
	handle := c.open("Network", id)
	theirs := other.open("Network", id)
	if got := c.OpenHandles("test"); got != 2 {
		t.Errorf("open handles: got %d, want 2", got)
	}
	c.ForgetClient("test")
	c.ForgetClient("nobody")
	if got := c.OpenHandles("test"); got != 0 {
		t.Errorf("open handles afterwards: got %d, want 0", got)
	}
	if got := c.call("HcnQueryNetworkProperties", handle, "").Code; got != hns.CodeInvalidHandle {
		t.Errorf("handle of a forgotten client: %s", got)
	}
	other.must("HcnQueryNetworkProperties", theirs, "")
}

func TestJournal(t *testing.T) {
	c := newClient(t, "2025")
	c.call("HcnOpenNetwork", unknownID)
	c.must("HcnEnumerateNetworks", "")
	calls, err := c.Calls()
	if err != nil {
		t.Fatal(err)
	}
	want := []LoggedCall{
		{Seq: 1, Client: "test", Proc: "HcnOpenNetwork", Args: []string{unknownID}, Code: 0x803b0001, Reason: "no Network " + unknownID},
		{Seq: 2, Client: "test", Proc: "HcnEnumerateNetworks", Args: []string{""}},
	}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	counts, _ := c.Counts()
	if diff := cmp.Diff(map[string]int{"HcnOpenNetwork": 1, "HcnEnumerateNetworks": 1}, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if err := c.ResetLog(); err != nil {
		t.Fatal(err)
	}
	calls, _ = c.Calls()
	counts, _ = c.Counts()
	if len(calls) != 0 || len(counts) != 0 {
		t.Errorf("after ResetLog: %v, %v", calls, counts)
	}
	c.must("HcnEnumerateNetworks", "")
	if calls, _ = c.Calls(); calls[0].Seq != 3 {
		t.Errorf("sequence number after ResetLog: got %d, want 3", calls[0].Seq)
	}
}

func TestJournalIsBounded(t *testing.T) {
	var j journal
	for range journalSize + 1 {
		j.add(Call{Proc: "P"})
	}
	if got, want := len(j.entries), journalSize/2+1; got != want {
		t.Errorf("kept %d entries, want %d", got, want)
	}
	if got := j.counts["P"]; got != journalSize+1 {
		t.Errorf("counted %d", got)
	}
}

func TestMutates(t *testing.T) {
	for _, tc := range []struct {
		proc, method string
		want         bool
	}{
		{"HcnCreateNetwork", "", true}, {"HcnModifyEndpoint", "", true}, {"HcnDeleteNamespace", "", true},
		{"HcnOpenNetwork", "", false}, {"HcnEnumerateEndpoints", "", false}, {"HcnCloseSdnRoute", "", false},
		{"HNSCall", "GET", false}, {"HNSCall", "POST", true}, {"HNSCall", "DELETE", true}, {"Nonsense", "", false},
	} {
		if got := mutates(Call{Proc: tc.proc, Args: []string{tc.method}}); got != tc.want {
			t.Errorf("mutates(%s %s) = %t", tc.proc, tc.method, got)
		}
	}
}

// TestWatch: who watches has the state after each change, before its maker is answered.
func TestWatch(t *testing.T) {
	c := newClient(t, "2022")
	var got []State
	c.Watch(func(s State) { got = append(got, s) })
	if len(got) != 1 || len(got[0].Networks) != 0 {
		t.Fatalf("at once: %+v", got)
	}
	n := c.network("L2Bridge", "n")
	if last := got[len(got)-1]; len(last.Networks) != 1 || last.Networks[0].ID != n {
		t.Errorf("after a network was made: %+v", last.Networks)
	}
	calls := len(got)
	c.query("Network", n, "")
	if len(got) != calls {
		t.Errorf("a question was told as a change")
	}
	c.createEndpoint(n, v2(`"Name":"e"`))
	if err := c.Reboot(); err != nil {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; len(last.Endpoints) != 0 {
		t.Errorf("after the reboot: %+v", last.Endpoints)
	}
}
