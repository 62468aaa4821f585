// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// parsePod reads CNI_ARGS the way of CNI's own LoadArgs (cni pkg/types/args.go):
// KEY=value pairs between semicolons, unknown keys only with IgnoreUnknown.
// Whatever LoadArgs refuses an IPAM plugin would refuse later.
func parsePod(args string) (Pod, error) {
	if args == "" {
		return Pod{}, nil
	}
	var p Pod
	ignore, unknown := false, ""
	for _, pair := range strings.Split(args, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" || strings.Contains(value, "=") {
			return Pod{}, invalid("CNI_ARGS", "%q is not a KEY=value pair", pair)
		}
		switch key {
		case "IgnoreUnknown":
			var err error
			if ignore, err = parseIgnore(value); err != nil {
				return Pod{}, err
			}
		case "MAC":
			return Pod{}, unsupported("CNI_ARGS MAC")
		default:
			if !p.set(key, value) && unknown == "" {
				unknown = key
			}
		}
	}
	if unknown != "" && !ignore {
		return Pod{}, invalid("CNI_ARGS", "unknown key %q, and no IgnoreUnknown=1", unknown)
	}
	return p, nil
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

// set takes a pair that is known here. IP and GATEWAY are known to the host-local
// and static IPAM plugins, which read CNI_ARGS themselves.
func (p *Pod) set(key, value string) bool {
	switch key {
	case "K8S_POD_NAMESPACE":
		p.Namespace = value
	case "K8S_POD_NAME":
		p.Name = value
	case "K8S_POD_UID":
		p.UID = value
	case "K8S_POD_INFRA_CONTAINER_ID", "IP", "GATEWAY":
	default:
		return false
	}
	return true
}
