// SPDX-License-Identifier: Apache-2.0

// Package kubeproxy tells how the kube-proxy of this node was started. kube-proxy and a CNI
// plugin must agree on the HNS network, on the source address of services on an overlay,
// and on direct server return, and nothing but kube-proxy's arguments says what it was told
// (kubernetes/kubernetes, cmd/kube-proxy/app and pkg/proxy/winkernel).
package kubeproxy

import (
	"regexp"
	"strconv"
	"strings"
)

// Process is a kube-proxy that runs on the node.
type Process struct {
	PID uint32
	// Args are its arguments, its own name first.
	Args []string
	// Network is the HNS network that it was told, by --network-name, in its file, or by
	// the variable KUBE_NETWORK, which is the last that it looks at.
	Network string
	// SourceVIP is the address that services of an overlay send from.
	SourceVIP string
	// DSR is whether it asks for direct server return.
	DSR bool
	// Config is the file of --config, and Unread is true when what it says is not known.
	Config string
	Unread bool
}

// Variable is the environment variable that tells kube-proxy the network.
const Variable = "KUBE_NETWORK"

// Parse reads the arguments and the environment of a kube-proxy. read returns what a file
// says.
func Parse(args, environment []string, read func(file string) ([]byte, error)) Process {
	out := Process{Args: args}
	dsr := ""
	for name, into := range map[string]*string{
		"config": &out.Config, "network-name": &out.Network, "source-vip": &out.SourceVIP, "enable-dsr": &dsr,
	} {
		*into = flag(args, name)
	}
	if out.Config != "" {
		// kube-proxy takes what the file says and passes over the flags.
		text, err := read(out.Config)
		out.Unread = err != nil
		out.Network, out.SourceVIP, dsr = value(text, "networkName"), value(text, "sourceVip"), value(text, "enableDSR")
	}
	out.DSR, _ = strconv.ParseBool(dsr)
	for _, v := range environment {
		if name, text, _ := strings.Cut(v, "="); out.Network == "" && strings.EqualFold(name, Variable) {
			out.Network = text
		}
	}
	return out
}

// flag returns the last value of a flag as pflag reads it: --name=value, or --name value;
// one without a value is true.
func flag(args []string, name string) string {
	out := ""
	for i, a := range args {
		text, found := strings.CutPrefix(strings.TrimPrefix(a, "-"), "-"+name)
		switch {
		case !found || !strings.HasPrefix(a, "--"):
		case strings.HasPrefix(text, "="):
			out = text[1:]
		case text == "" && name == "enable-dsr":
			out = "true"
		case text == "" && i+1 < len(args):
			out = args[i+1]
		}
	}
	return out
}

// value returns what a KubeProxyConfiguration says of one of its winkernel keys, which no
// other part of it has. The file is YAML, or the JSON that YAML takes, too.
func value(text []byte, key string) string {
	m := regexp.MustCompile(`(?m)(?:^|[{,])[ \t]*"?` + key + `"?[ \t]*:[ \t]*["']?([^"'\s,}#]*)`).FindSubmatch(text)
	if m == nil {
		return ""
	}
	return string(m[1])
}
