// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// parseArgs reads CNI_ARGS the way of CNI's own LoadArgs (cni pkg/types/args.go):
// KEY=value pairs between semicolons, unknown keys only with IgnoreUnknown.
// Whatever LoadArgs refuses an IPAM plugin would refuse later.
func parseArgs(args string) (cniArgs, error) {
	if args == "" {
		return cniArgs{}, nil
	}
	var a cniArgs
	ignore, unknown := false, ""
	for _, pair := range strings.Split(args, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.Contains(value, "=") {
			return cniArgs{}, invalid("CNI_ARGS", "%q is not a KEY=value pair", pair)
		}
		switch key {
		case "IgnoreUnknown":
			var err error
			if ignore, err = parseIgnore(value); err != nil {
				return cniArgs{}, err
			}
		default:
			if !a.set(key, value) && unknown == "" {
				unknown = key
			}
		}
	}
	if unknown != "" && !ignore {
		return cniArgs{}, invalid("CNI_ARGS", "unknown key %q, and no IgnoreUnknown=1", unknown)
	}
	return a, nil
}

func parseIgnore(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	default:
		return false, invalid("CNI_ARGS", "IgnoreUnknown %q is not one of 1, true, 0, false", value)
	}
}

// cniArgs is what CNI_ARGS says.
type cniArgs struct {
	pod Pod
	// ip is a list of addresses, and gateway of gateways, with commas between.
	ip, gateway, mac string
}

// set takes a pair that is known here.
func (a *cniArgs) set(key, value string) bool {
	switch key {
	case "K8S_POD_NAMESPACE":
		a.pod.Namespace = value
	case "K8S_POD_NAME":
		a.pod.Name = value
	case "K8S_POD_UID":
		a.pod.UID = value
	case "IP":
		a.ip = value
	case "GATEWAY":
		a.gateway = value
	case "MAC":
		a.mac = value
	case "K8S_POD_INFRA_CONTAINER_ID":
	default:
		return false
	}
	return true
}
