// SPDX-License-Identifier: Apache-2.0

package config

// The dialects of win-bridge and win-overlay (containernetworking/plugins,
// pkg/hns/netconf_windows.go and plugins/main/windows), of either apiVersion. Both leave it
// to others to make the network.
var (
	winBridgeKeys  = []string{"apiVersion", "policies", "loopbackDSR", "ipMasqNetwork", "ipMasq"}
	winOverlayKeys = []string{"apiVersion", "policies", "loopbackDSR", "ipMasqNetwork", "ipMasq", "endpointMacPrefix"}
)

// winPolicies reads the policies, whose form apiVersion tells. Either form is taken for
// either version: these plugins pass over what they cannot read.
func winPolicies(t *translation) error {
	var version int64
	if err := t.section("apiVersion", &version); err != nil {
		t.faults = append(t.faults, err)
	}
	return t.readPolicies("policies")
}

// winDSR reads loopbackDSR, which these plugins have off where it is not on.
func winDSR(t *translation) error {
	on := false
	if err := t.section("loopbackDSR", &on); err != nil {
		return err
	}
	t.set("loopbackDSR", on, t.path("loopbackDSR"))
	return nil
}

// winIPAM hands the section on, as these plugins do.
func winIPAM(t *translation) error {
	section, _, err := t.pluginIPAM()
	if err == nil && section != nil {
		t.set("ipam", section, t.path("ipam"))
	}
	return err
}

// masquerade reads ipMasq and ipMasqNetwork, which flannel adds to every delegate.
func (t *translation) masquerade() (on bool, network string, err error) {
	if err := t.section("ipMasq", &on); err != nil {
		return false, "", err
	}
	err = t.section("ipMasqNetwork", &network)
	return on, network, err
}

// winBridgeNAT reads ipMasqNetwork, which asks for outbound NAT by itself, whatever
// ipMasq says. flannel sends both.
func winBridgeNAT(t *translation) error {
	on, network, err := t.masquerade()
	if err != nil {
		return err
	}
	if network != "" {
		t.nat.except(network, t.path("ipMasqNetwork"))
	}
	t.nat.asked = t.nat.asked || on
	return nil
}

// winBridgeGateway is the second address of the pod's subnet, whatever IPAM says. Both
// kinds of networks on which there is an endpoint of the node with it are win-bridge's.
func winBridgeGateway(t *translation) error {
	for _, family := range []string{"ipv4", "ipv6"} {
		t.within("gateway", family, "node", "type")
	}
	return nil
}

// winOverlayNAT reads ipMasq, which excepts the network's own subnet.
func winOverlayNAT(t *translation) error {
	on, network, err := t.masquerade()
	if err != nil {
		return err
	}
	if on && network != "" {
		t.nat.except(network, t.path("ipMasqNetwork"))
	}
	t.nat.asked, t.nat.network = t.nat.asked || on, on
	return nil
}

// winOverlayGateway is the network's, whatever IPAM says. Other nodes know a pod's MAC
// address by its IPv4 address.
func winOverlayGateway(t *translation) error {
	t.set("driver", "overlay", "type")
	t.within("gateway", "ipv4", "network", "type")
	prefix := ""
	if err := t.section("endpointMacPrefix", &prefix); err != nil {
		return err
	}
	if prefix != "" {
		t.set("macPrefix", prefix, t.path("endpointMacPrefix"))
	} else if section, typ, err := t.pluginIPAM(); err == nil && section != nil && typ != "" {
		t.set("macPrefix", "0E-2A", "type")
	}
	return nil
}
