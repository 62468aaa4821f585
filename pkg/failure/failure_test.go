// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"context"
	"errors"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

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
		{"invalid annotation", config.ErrAnnotation, 7},
		{"invalid ipam section", problem.New(pod.ErrIPAM, ipam.ErrConfig, ""), 7},
		{"configuration and network", plan.ErrConflict, 7},
		{"too old for the configuration", plan.ErrFeature, 105},
		{"no GUID", pod.ErrNamespace, 4},
		{"no such namespace", problem.New(pod.ErrNamespace, native(hns.CodeNotFound), ""), 4},
		{"another namespace", pod.ErrInUse, 106},
		{"network missing", problem.New(network.ErrMissing, native(hns.CodeNetworkNotFound), ""), 101},
		{"network differs", network.ErrDiffers, 102},
		{"IPAM", pod.ErrIPAM, 103},
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
			if got := Of(tt.err); got.Code != tt.want {
				t.Errorf("got code %d (%s), want %d", got.Code, got, tt.want)
			}
		})
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
		if got := Of(tt.err).Reason; got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
