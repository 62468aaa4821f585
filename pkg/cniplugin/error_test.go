// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

var args = &skel.CmdArgs{ContainerID: "c1", IfName: "eth0"}

// Every kind of error that a verb can fail with has a code, alone and wrapped as
// the verbs wrap it.
func TestErrorCodes(t *testing.T) {
	native := func(code hns.HRESULT) error { return &hns.Error{Op: "create endpoint", Object: "c1_net1", Code: code} }
	tests := []struct {
		name string
		err  error
		want uint
	}{
		{"not JSON", config.ErrSyntax, 6},
		{"not there yet", config.ErrUnsupported, 2},
		{"invalid configuration", config.ErrInvalid, 7},
		{"invalid ipam section", problem.New(pod.ErrIPAM, ipam.ErrConfig, ""), 7},
		{"configuration and network", plan.ErrConflict, 7},
		{"too old for the configuration", plan.ErrFeature, 105},
		{"no GUID", pod.ErrNamespace, 4},
		{"no such namespace", problem.New(pod.ErrNamespace, native(hns.CodeNotFound), ""), 4},
		{"another namespace", pod.ErrInUse, 106},
		{"network missing", problem.New(network.ErrMissing, native(hns.CodeNetworkNotFound), ""), 101},
		{"network differs", network.ErrDiffers, 102},
		{"IPAM", pod.ErrIPAM, 103},
		{"IPAM asks to try again", problem.New(pod.ErrIPAM, types.NewError(11, "later", ""), ""), 11},
		{"range exhausted", problem.New(pod.ErrIPAM, ipam.ErrExhausted, ""), 103},
		{"deleted meanwhile", problem.New(pod.ErrIPAM, ipam.ErrReleased, ""), 11},
		{"port taken", problem.New(pod.ErrPortTaken, native(hns.CodePortExists), ""), 110},
		{"address taken", problem.New(pod.ErrAddressTaken, native(hns.CodeAddressReserved), ""), 109},
		{"IPAM out of time", problem.New(pod.ErrIPAM, context.DeadlineExceeded, ""), 11},
		{"HNS hangs", &hns.Error{Op: "create endpoint", Err: context.DeadlineExceeded}, 11},
		{"HNS stopped", native(hns.CodeServiceNotActive), 11},
		{"HNS cut off", native(hns.CodeCallFailed), 11},
		{"HNS refuses", native(0x803b001e), 104},
		{"HNS cannot", native(0x80004001), 105},
		{"unknown HRESULT", native(0x80001234), 104},
		{"roll-back failed too", errors.Join(native(0x803b001e), native(0x803b000d)), 104},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := cniError("ADD", args, tt.err); got.Code != tt.want {
				t.Errorf("got code %d (%s), want %d", got.Code, got.Msg, tt.want)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	err := fmt.Errorf("outer: %w", &hns.Error{
		Op: "create endpoint", Object: "c1_net1", Code: 0x803b001e,
		Err: errors.New("hcnCreateEndpoint failed\nsecond line"),
	})
	got := cniError("ADD", args, err)
	want := "cannot attach eth0 of container c1: create endpoint c1_net1: IP address is either invalid or not part of any configured subnet(s): compare the IPAM range with the network's subnets (Get-HnsNetwork) and make them agree"
	if got.Msg != want {
		t.Errorf("msg:\n got %s\nwant %s", got.Msg, want)
	}
	for _, part := range []string{"0x803b001e", "HCN_E_INVALID_IP", "hcnCreateEndpoint failed", "second line"} {
		if !strings.Contains(got.Details, part) {
			t.Errorf("details %q lack %q", got.Details, part)
		}
	}
	if strings.Contains(got.Msg+got.Details, "\n") {
		t.Errorf("more than one line: %q", got)
	}
}

// Where the package that refused has a sentence of its own, the admin reads that
// and what to do; HNS's answer stands in the details.
func TestOwnSentences(t *testing.T) {
	native := &hns.Error{Op: "find namespace", Object: "x", Code: hns.CodeNotFound}
	err := problem.New(pod.ErrNamespace, native, "there is no namespace %s on this node", "x")
	pod := &skel.CmdArgs{ContainerID: "c1", IfName: "eth0", Args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web"}
	got := cniError("ADD", pod, err)
	want := "cannot attach eth0 of pod default/web (container c1): there is no namespace x on this node: the runtime must make the pod's namespace first"
	if got.Msg != want {
		t.Errorf("msg:\n got %s\nwant %s", got.Msg, want)
	}
	if !strings.Contains(got.Details, "0x80070490") {
		t.Errorf("details %q lack the code", got.Details)
	}
}

// The packages on the way say what they attempted, and the one that knows HNS's answer
// by a name of its own stands for it.
func TestSentences(t *testing.T) {
	native := &hns.Error{Op: "create endpoint", Object: "x_ep", Code: hns.CodeAddressReserved, Err: errors.New("HcnCreateEndpoint failed {}")}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{
			problem.New(nil, problem.New(network.ErrAddressTaken, native, "c1_x has it; remove its pod"), "the node's own endpoint x_ep on the network %q", "x"),
			`the node's own endpoint x_ep on the network "x": c1_x has it; remove its pod`,
		},
		{problem.New(nil, native, "10.1.0.5 is held by the endpoint other"), "10.1.0.5 is held by the endpoint other: create endpoint x_ep: An address provided is invalid or reserved"},
		{problem.New(pod.ErrIPAM, ipam.ErrExhausted, ""), "no free address"},
		{problem.New(pod.ErrPortTaken, errors.Join(native, errors.New("and more")), ""), "create endpoint x_ep: An address provided is invalid or reserved"},
		{&config.Error{Path: "acl.rules[0]", Problem: "wrong", Err: config.ErrInvalid}, "acl.rules[0]: wrong"},
		{errors.New("first line\nsecond"), "first line"},
	} {
		if got := reason(tt.err); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestHangText(t *testing.T) {
	got := cniError("ADD", args, &hns.Error{Op: "create endpoint", Object: "c1_net1", Err: context.DeadlineExceeded})
	want := "cannot attach eth0 of container c1: create endpoint c1_net1: HNS did not answer in time: try again, and look at the hns service (Get-Service hns) if it lasts"
	if got.Msg != want {
		t.Errorf("msg:\n got %s\nwant %s", got.Msg, want)
	}
}

// containerd's go-cni takes a DEL error with these words for success.
func TestDelErrorsNeverSayNotFound(t *testing.T) {
	for code := hns.HRESULT(0x803b0000); code < 0x803b0040; code++ {
		err := errors.Join(pod.ErrIPAM, &hns.Error{Op: "find", Code: code, Err: hns.ErrNotFound})
		if got := cniError("DEL", args, err).Error(); strings.Contains(got, "not found") {
			t.Errorf("%s: %s", code, got)
		}
	}
}

func TestStatusCodes(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want uint
	}{
		{"network missing", network.ErrMissing, 51},
		{"HNS stopped", &hns.Error{Op: "ask", Code: hns.CodeServiceNotActive}, 51},
		{"HNS hangs", &hns.Error{Op: "ask", Err: context.DeadlineExceeded}, 51},
		{"network differs", network.ErrDiffers, 50},
		{"HNS too old", plan.ErrFeature, 50},
		{"range exhausted", problem.New(pod.ErrIPAM, ipam.ErrExhausted, ""), 50},
		{"invalid configuration", config.ErrInvalid, 50},
		{"not JSON", config.ErrSyntax, 6},
	}
	for _, tt := range tests {
		if got := cniError("STATUS", args, tt.err); got.Code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got.Code, tt.want)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	err := guarded("ADD", func(*skel.CmdArgs) error { panic("boom") })(args)
	var got *types.Error
	if !errors.As(err, &got) || got.Code != CodePanic || got.Details != "boom" {
		t.Errorf("got %v", err)
	}
}
