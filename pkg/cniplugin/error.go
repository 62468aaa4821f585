// SPDX-License-Identifier: Apache-2.0

package cniplugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/failure"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/network"
)

// guarded turns what a verb fails with, a panic included, into the CNI error of
// the outermost layer: skel drops what is wrapped around one.
func guarded(verb string, f func(*skel.CmdArgs) error) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = types.NewError(failure.CodePanic, verb+" failed by a bug in bulkhead: please report it", fmt.Sprint(r))
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
	f := failure.Of(err)
	code := f.Code
	var delegated *types.Error
	if errors.As(err, &delegated) && delegated.Code == types.ErrTryAgainLater {
		code = delegated.Code
	}
	if verb == "STATUS" && code != types.ErrDecodingFailure {
		code = notAvailable(err)
	}
	msg := fmt.Sprintf("%s: %s", subject(verb, args), f)
	details := strings.ReplaceAll(err.Error(), "\n", "; ")
	if verb == "DEL" {
		msg, details = withoutNotFound(msg), withoutNotFound(details)
	}
	return types.NewError(code, failure.Printable(msg), failure.Printable(details))
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
	if namespace, name := podOf(args.Args); name != "" {
		return fmt.Sprintf("%s of pod %s/%s (container %s)", args.IfName, namespace, name, args.ContainerID)
	}
	return fmt.Sprintf("%s of container %s", args.IfName, args.ContainerID)
}

// podOf returns the pod in CNI_ARGS, whatever else is in them.
func podOf(args string) (namespace, name string) {
	pod := map[string]string{}
	for _, arg := range strings.Split(args, ";") {
		if key, value, ok := strings.Cut(arg, "="); ok {
			pod[key] = value
		}
	}
	return pod["K8S_POD_NAMESPACE"], pod["K8S_POD_NAME"]
}

// withoutNotFound keeps an error of DEL from being swallowed: containerd's
// go-cni takes any that says "not found" for success.
func withoutNotFound(s string) string {
	return strings.ReplaceAll(s, "not found", "missing")
}
