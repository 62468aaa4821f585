// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
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
	{config.ErrInvalid, types.ErrInvalidNetworkConfig, "correct the network configuration"},
	{ipam.ErrConfig, types.ErrInvalidNetworkConfig, "correct the ipam section"},
	{plan.ErrConflict, types.ErrInvalidNetworkConfig, "make the network configuration and the HNS network agree"},
	{plan.ErrFeature, CodeFeature, "update Windows or remove what needs the newer version"},
	{ipam.ErrReleased, types.ErrTryAgainLater, "try again, unless the pod is to be gone"},
	{pod.ErrPortTaken, CodePortTaken, "choose another hostPort or stop who holds it (netsh interface ipv4 show excludedportrange protocol=tcp lists reserved ones)"},
	{network.ErrAddressTaken, CodeAddressTaken, "remove the pod that has it"},
	{pod.ErrAddressTaken, CodeAddressTaken, "take the address out of the ranges of the ipam section or remove who holds it"},
	{pod.ErrNamespace, types.ErrInvalidEnvironmentVariables, "the runtime must make the pod's namespace first"},
	{pod.ErrInUse, CodeInUse, "remove the old sandbox of the pod"},
	{context.DeadlineExceeded, types.ErrTryAgainLater, "try again, and look at the hns service (Get-Service hns) if it lasts"},
	{hns.ErrBusy, types.ErrTryAgainLater, ""},
	{hns.ErrUnavailable, types.ErrTryAgainLater, ""},
	{network.ErrMissing, CodeNetworkMissing, "create the HNS network or add a network section"},
	{network.ErrDiffers, CodeNetworkDiffers, "change the configuration or remove the HNS network"},
	{pod.ErrGone, CodeGone, "restart the pod"},
	{aclsync.ErrDiffers, CodeDiffers, "try again, and see who changes HNS endpoints"},
	{pod.ErrDiffers, CodeDiffers, "restart the pod, and see who changes HNS endpoints"},
	{pod.ErrIPAM, CodeIPAM, "look at the ipam section and at the addresses in use"},
	{hns.ErrUnsupported, CodeFeature, ""},
}

// other is the class of an error that no kind claims.
var other = class{code: CodeHNS}

func classOf(err error) class {
	for _, c := range classes {
		if errors.Is(err, c.kind) {
			return c
		}
	}
	return other
}

// guarded turns what a verb fails with, a panic included, into the CNI error of
// the outermost layer: skel drops what is wrapped around one.
func guarded(verb string, f func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = types.NewError(CodePanic, verb+" failed by a bug in bulkhead: please report it", fmt.Sprint(r))
			}
		}()
		if err := f(args); err != nil {
			return cniError(verb, args, err)
		}
		return nil
	}
}

// cniError makes the error that a runtime reads.
func cniError(verb string, args *skel.CmdArgs, err error) *types.Error {
	c := classOf(err)
	code := c.code
	var delegated *types.Error
	if errors.As(err, &delegated) && delegated.Code == types.ErrTryAgainLater {
		code = delegated.Code
	}
	if verb == "STATUS" && code != types.ErrDecodingFailure {
		code = notAvailable(err)
	}
	msg := fmt.Sprintf("%s: %s: %s", subject(verb, args), reason(err), advice(c, err))
	details := strings.ReplaceAll(err.Error(), "\n", "; ")
	if verb == "DEL" {
		msg, details = withoutNotFound(msg), withoutNotFound(details)
	}
	return types.NewError(code, msg, details)
}

// notAvailable returns STATUS's code. Where HNS or the network is not there, the
// pods that run suffer, too.
func notAvailable(err error) uint {
	for _, kind := range []error{network.ErrMissing, hns.ErrUnavailable, hns.ErrBusy} {
		if errors.Is(err, kind) {
			return types.ErrLimitedConnectivity
		}
	}
	return types.ErrPluginNotAvailable
}

// subject says what was attempted, for whom.
func subject(verb string, args *skel.CmdArgs) string {
	switch verb {
	case "ADD":
		return "cannot attach " + attachmentOf(args)
	case "DEL":
		return "cannot detach " + attachmentOf(args)
	case "CHECK":
		return attachmentOf(args) + " is not in order"
	case "GC":
		return "cannot collect garbage"
	default:
		return "not ready for pods"
	}
}

// attachmentOf names the interface, the container, and the pod where CNI_ARGS tell
// it: they may be what is wrong.
func attachmentOf(args *skel.CmdArgs) string {
	pod := map[string]string{}
	for _, arg := range strings.Split(args.Args, ";") {
		if key, value, ok := strings.Cut(arg, "="); ok {
			pod[key] = value
		}
	}
	if name := pod["K8S_POD_NAME"]; name != "" {
		return fmt.Sprintf("%s of pod %s/%s (container %s)", args.IfName, pod["K8S_POD_NAMESPACE"], name, args.ContainerID)
	}
	return fmt.Sprintf("%s of container %s", args.IfName, args.ContainerID)
}

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

// withoutNotFound keeps an error of DEL from being swallowed: containerd's
// go-cni takes any that says "not found" for success.
func withoutNotFound(s string) string {
	return strings.ReplaceAll(s, "not found", "missing")
}
