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
	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

var args = &skel.CmdArgs{ContainerID: "c1", IfName: "eth0"}

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
	if !errors.As(err, &got) || got.Code != failure.CodePanic || got.Details != "boom" {
		t.Errorf("got %v", err)
	}
}
