// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/bulkhead-cni/bulkhead/test/cluster/conformance"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// startDNS starts the cluster's name server and waits until it answers.
func startDNS(ctx context.Context, c spec.Cluster) error {
	if err := kubectl(ctx, c, "apply", "-f", "-"); err != nil {
		return err
	}
	return kubectl(ctx, c, "rollout", "status", "deployment/coredns", "--timeout=2m")
}

// scaleDNS makes the name server so many pods, and waits until they are ready, and all others
// gone.
func scaleDNS(ctx context.Context, c spec.Cluster, replicas int) error {
	const deployment = "deployment/coredns"
	if err := kubectl(ctx, c, "scale", deployment, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	if replicas == 0 {
		return kubectl(ctx, c, "wait", "--for=delete", "pod", "-l", "k8s-app=kube-dns", "--timeout=2m")
	}
	return kubectl(ctx, c, "rollout", "status", deployment, "--timeout=2m")
}

// kubectl does something about the name server, whose manifest it can read.
func kubectl(ctx context.Context, c spec.Cluster, args ...string) error {
	cmd := exec.CommandContext(ctx, c.Program("kubectl"), append([]string{"--kubeconfig", c.In("kubeconfig"), "-n", "kube-system"}, args...)...)
	cmd.Stdin = strings.NewReader(conformance.DNS)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the cluster's name server: %w: %s", err, out)
	}
	return nil
}
