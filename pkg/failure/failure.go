// SPDX-License-Identifier: Apache-2.0

// Package failure says what an error means: to a runtime by a CNI error code, and to an
// admin in words, why it failed and what to do. It is the only place that assigns codes.
package failure

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/aclsync"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/ipam"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
	"github.com/bulkhead-cni/bulkhead/pkg/pod"
	"github.com/bulkhead-cni/bulkhead/pkg/problem"
)

// Error codes of Bulkhead's own. Those below 100 are the specification's.
const (
	// CodePanic is a bug in Bulkhead.
	CodePanic uint = 100
	// CodeNetworkMissing: the network does not exist and is not ours to make.
	CodeNetworkMissing uint = 101
	// CodeNetworkDiffers: the network exists, but not as configured.
	CodeNetworkDiffers uint = 102
	// CodeIPAM: no address could be reserved or released.
	CodeIPAM uint = 103
	// CodeHNS: HNS refused.
	CodeHNS uint = 104
	// CodeFeature: this node's HNS cannot do what is asked.
	CodeFeature uint = 105
	// CodeInUse: the container's endpoint is in another namespace.
	CodeInUse uint = 106
	// CodeGone: CHECK finds no endpoint of the container.
	CodeGone uint = 107
	// CodeDiffers: CHECK finds the endpoint different from what ADD made.
	CodeDiffers uint = 108
	// CodeAddressTaken: every address that IPAM gives is in use.
	CodeAddressTaken uint = 109
	// CodePortTaken: a port of the node is somebody else's.
	CodePortTaken uint = 110
)

// class is what a kind of error means to a runtime and to an admin. Where the
// advice depends on HNS's code it is empty.
type class struct {
	kind   error
	code   uint
	advice string
}

// classes is searched in order: the first kind that the error is decides.
var classes = []class{
	{config.ErrSyntax, types.ErrDecodingFailure, "correct the JSON"},
	{config.ErrUnsupported, types.ErrUnsupportedField, "remove it or use a version of bulkhead that has it"},
	{config.ErrAnnotation, types.ErrInvalidNetworkConfig, "correct the pod's annotation"},
	{config.ErrInvalid, types.ErrInvalidNetworkConfig, "correct the network configuration"},
	{ipam.ErrConfig, types.ErrInvalidNetworkConfig, "correct the ipam section"},
	{plan.ErrConflict, types.ErrInvalidNetworkConfig, "make the network configuration and the HNS network agree"},
	{plan.ErrFeature, CodeFeature, "update Windows or remove what needs the newer version"},
	{ipam.ErrReleased, types.ErrTryAgainLater, "try again, unless the pod is to be gone"},
	{pod.ErrPortTaken, CodePortTaken, "choose another hostPort or stop who holds it (netsh interface ipv4 show excludedportrange protocol=tcp lists reserved ones)"},
	{network.ErrAddressTaken, CodeAddressTaken, "remove the pod that has it"},
	{pod.ErrAddressTaken, CodeAddressTaken, "ask for another address, take it out of the ranges of the ipam section, or remove who holds it"},
	{pod.ErrNamespace, types.ErrInvalidEnvironmentVariables, "the runtime must make the pod's namespace first"},
	{pod.ErrInUse, CodeInUse, "remove the old sandbox of the pod"},
	{context.DeadlineExceeded, types.ErrTryAgainLater, "try again, and look at the hns service (Get-Service hns) if it lasts"},
	{hns.ErrBusy, types.ErrTryAgainLater, ""},
	{hns.ErrUnavailable, types.ErrTryAgainLater, ""},
	{network.ErrMissing, CodeNetworkMissing, "create the HNS network or add a network section"},
	{network.ErrDiffers, CodeNetworkDiffers, "change the configuration or remove the HNS network"},
	{network.ErrInUse, CodeInUse, "remove their pods first"},
	{pod.ErrGone, CodeGone, "restart the pod"},
	{aclsync.ErrDiffers, CodeDiffers, "try again, and see who changes HNS endpoints"},
	{pod.ErrDiffers, CodeDiffers, "restart the pod, and see who changes HNS endpoints"},
	{pod.ErrIPAM, CodeIPAM, "look at the ipam section and at the addresses in use"},
	{hns.ErrUnsupported, CodeFeature, ""},
}

// other is the class of an error that no kind claims.
var other = class{code: CodeHNS}

// Failure is what an error means to a runtime and to an admin.
type Failure struct {
	// Code is the CNI error code.
	Code uint
	// Reason says why, Advice what to do. Codes and native texts stand in the error.
	Reason, Advice string
}

// Of returns what an error of a verb, or of a command, means.
func Of(err error) Failure {
	c := other
	if i := slices.IndexFunc(classes, func(c class) bool { return errors.Is(err, c.kind) }); i >= 0 {
		c = classes[i]
	}
	return Failure{c.code, reason(err), advice(c, err)}
}

// String returns the reason and the advice.
func (f Failure) String() string { return f.Reason + ": " + f.Advice }

// reason says in words why a verb failed. Codes and native texts stand in the details.
func reason(err error) string {
	var native *hns.Error
	if errors.As(err, &native) && errors.Is(native, context.DeadlineExceeded) {
		return attempted(native) + ": HNS did not answer in time"
	}
	return sentence(err)
}

// sentence returns what the packages that refused say, from the outermost to the one
// that knows the cause. Where one of them gave HNS's answer a kind of its own, its
// words stand for HNS's.
func sentence(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		native, ofHNS := p.Cause.(*hns.Error) //nolint:errorlint // what is further down has its own words before it
		switch {
		case p.Cause == nil || ofHNS && p.Kind != nil && p.Text != "":
			return p.Text
		case ofHNS && p.Text == "":
			return answer(native)
		case p.Text == "":
			return sentence(p.Cause)
		default:
			return p.Text + ": " + sentence(p.Cause)
		}
	}
	var native *hns.Error
	if errors.As(err, &native) {
		return answer(native)
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// answer says what HNS was asked to do and what it answered.
func answer(e *hns.Error) string {
	if m, ok := e.Code.Meaning(); ok {
		return attempted(e) + ": " + m.Text
	}
	line, _, _ := strings.Cut(e.Error(), "\n")
	return line
}

// attempted says what HNS was asked to do: "create endpoint c1_net1".
func attempted(e *hns.Error) string {
	return strings.TrimSpace(e.Op + " " + e.Object)
}

// advice is the class's, or what HNS's code calls for.
func advice(c class, err error) string {
	if c.advice != "" {
		return c.advice
	}
	var native *hns.Error
	if errors.As(err, &native) {
		if m, ok := native.Code.Meaning(); ok {
			return m.Advice
		}
	}
	return "see the details, and the hns service (Get-Service hns)"
}
