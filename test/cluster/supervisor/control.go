// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/bulkhead-cni/bulkhead/test/cluster/service"
	"github.com/bulkhead-cni/bulkhead/test/cluster/spec"
)

// startControlPlane starts etcd and Kubernetes' own programs in the present network
// namespace, and returns when the API server is ready.
func (s *Supervisor) startControlPlane(ctx context.Context) error {
	c := s.cluster
	if err := s.writeKeys(); err != nil {
		return err
	}
	if err := s.program("etcd", "--data-dir="+c.In("control", "etcd")); err != nil {
		return err
	}
	api := spec.Outer.Addr()
	err := s.program("kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379", fmt.Sprintf("--secure-port=%d", spec.APIPort), "--bind-address=0.0.0.0",
		"--advertise-address="+api.String(), "--cert-dir="+c.In("control", "api"), "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-signing-key-file="+c.In("control", "sa.key"),
		"--service-account-key-file="+c.In("control", "sa.pub"), "--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=RBAC", "--token-auth-file="+c.In("control", "tokens.csv"), "--service-cluster-ip-range="+spec.Services)
	if err != nil {
		return err
	}
	if err := s.apiReady(ctx); err != nil {
		return err
	}
	certificate, err := os.ReadFile(c.In("control", "api", "apiserver.crt"))
	if err != nil {
		return err
	}
	kubeconfig := c.In("control", "kubeconfig")
	for path, server := range map[string]string{
		kubeconfig:         fmt.Sprintf("https://%s:%d", api, spec.APIPort),
		c.In("kubeconfig"): "https://localhost:" + s.forwarded,
	} {
		text := fmt.Sprintf(kubeconfigText, base64.StdEncoding.EncodeToString(certificate), server, c.Name, c.Token)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	err = s.program("kube-controller-manager", "--kubeconfig="+kubeconfig, "--leader-elect=false",
		"--service-account-private-key-file="+c.In("control", "sa.key"), "--root-ca-file="+c.In("control", "api", "apiserver.crt"),
		"--bind-address=127.0.0.1", "--cert-dir="+c.In("control", "kcm"), "--use-service-account-credentials=true",
		"--allocate-node-cidrs=true", "--cluster-cidr="+spec.PodCIDR, "--node-cidr-mask-size=24",
		"--node-monitor-grace-period=20s", "--terminated-pod-gc-threshold=100")
	if err != nil {
		return err
	}
	return s.program("kube-scheduler", "--kubeconfig="+kubeconfig, "--leader-elect=false",
		"--bind-address=127.0.0.1", "--cert-dir="+c.In("control", "scheduler"))
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters:
- name: bulkhead
  cluster: {certificate-authority-data: %s, server: "%s"}
users:
- name: admin
  user: {token: %[4]s}
contexts:
- name: %[3]s
  context: {cluster: bulkhead, user: admin}
current-context: %[3]s
`

// program starts a program of the control plane.
func (s *Supervisor) program(name string, args ...string) error {
	p, err := service.Start(service.Program{
		Name: name, Args: append([]string{s.cluster.Program(name)}, args...), Log: s.cluster.Log(name), Dir: "/",
	})
	if err != nil {
		return err
	}
	s.programs = append(s.programs, p)
	return nil
}

// writeKeys writes the key that signs service accounts' tokens, and the administrator's
// token.
func (s *Supervisor) writeKeys() error {
	const bits = 2048
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(s.cluster.Token + `,admin,admin,"system:masters"` + "\n"),
	} {
		if err := os.WriteFile(s.cluster.In("control", name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// apiReady waits until the API server answers that it is ready.
func (s *Supervisor) apiReady(ctx context.Context) error {
	// Its certificate is not known yet, and nobody else is in this namespace.
	client := &http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // as above
	}
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/readyz", spec.APIPort), nil)
		if err != nil {
			return err
		}
		q.Header.Set("Authorization", "Bearer "+s.cluster.Token)
		answer, err := client.Do(q)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		for _, p := range s.programs {
			if err := p.Check(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the API server is not ready (%w); see %s", ctx.Err(), s.cluster.Log("kube-apiserver"))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
