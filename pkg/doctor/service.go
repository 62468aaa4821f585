// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/plan"
)

// service judges HNS itself.
func (e *exam) service() {
	err := cmp.Or(e.Err(node.HNS), e.Err(node.Endpoints))
	var native *hns.Error
	switch {
	case err == nil:
		e.version()
	case errors.Is(err, hns.ErrUnsupported):
		e.add(Error, "hns.old", "this node has no HNS, or one that is older than Bulkhead needs, which is 9.2.", firstLine(err), "Install-WindowsFeature Containers, or install the updates of Windows Server 2019")
	case errors.Is(err, hns.ErrUnavailable):
		e.add(Error, "hns.stopped", "HNS does not run, so no pod starts or ends.", firstLine(err), "Start-Service hns")
	case errors.Is(err, hns.ErrBusy):
		e.add(Error, "hns.silent", "HNS does not answer in time.", firstLine(err), "drain the node, then Restart-Service hns")
	default:
		cure := "read the event log of HNS: Get-WinEvent Microsoft-Windows-Host-Network-Service-Admin -MaxEvents 20"
		if errors.As(err, &native) {
			if m, ok := native.Code.Meaning(); ok {
				cure = m.Advice
			}
		}
		e.add(Error, "hns.failed", "HNS does not tell what is on this node.", firstLine(err), cure)
	}
}

// version judges whether HNS can do what the conflists ask for.
func (e *exam) version() {
	features := hns.Features{Version: e.Version}
	evidence := "HNS is version " + e.Version.String()
	if !features.V2() {
		e.add(Error, "hns.old", "this node's HNS is older than Bulkhead needs, which is 9.2.", evidence, "install the updates of Windows Server 2019, or a newer Windows")
		return
	}
	for _, c := range plugins(e.Inventory) {
		if err := plan.CheckFeatures(c.Config, features); err != nil {
			e.add(Error, "hns.feature", firstLine(err)+".", evidence, "update Windows, or take that out of "+c.path)
		}
	}
}

// parts tells what could not be looked at and so is not judged.
func (e *exam) parts() {
	for _, p := range []node.Part{node.Reservations, node.Adapters, node.KubeProxies, node.Registry} {
		if err := e.Err(p); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			e.add(Warning, "node.unread", fmt.Sprintf("the node's %s could not be read, and are not judged.", p), firstLine(err), "run bulkhead doctor as an administrator")
		}
	}
}
