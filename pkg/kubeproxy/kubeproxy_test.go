// SPDX-License-Identifier: Apache-2.0

package kubeproxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	const yaml = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nmode: kernelspace\nwinkernel:\n  enableDSR: true\n  networkName: \"flannel.4096\" # vxlan\n  sourceVip: 10.244.3.2\n"
	const json = `{"winkernel":{"enableDSR":true,"networkName":"flannel.4096","sourceVip":"10.244.3.2"}}`
	read := func(text string) func(string) ([]byte, error) {
		return func(file string) ([]byte, error) {
			if file != `C:\k\config.conf` {
				t.Errorf("read %s", file)
			}
			return []byte(text), nil
		}
	}
	fails := func(string) ([]byte, error) { return nil, errors.New("no such file") }
	tests := []struct {
		args, env string
		read      func(string) ([]byte, error)
		want      Process
	}{
		{args: "", want: Process{}},
		{args: "--network-name=podnet --source-vip 10.1.0.2 --enable-dsr", want: Process{Network: "podnet", SourceVIP: "10.1.0.2", DSR: true}},
		{args: "--enable-dsr=false --enable-dsr=true", want: Process{DSR: true}},
		{args: "--enable-dsr=true --enable-dsr=false", want: Process{}},
		{args: "-network-name=x --network-names=y --my-network-name=z", want: Process{}},
		{env: "PATH=x|kube_network=cbr0", want: Process{Network: "cbr0"}},
		{args: "--network-name podnet", env: "KUBE_NETWORK=cbr0", want: Process{Network: "podnet"}},
		{
			args: `--config=C:\k\config.conf --enable-dsr=false --network-name=ignored`, read: read(yaml),
			want: Process{Network: "flannel.4096", SourceVIP: "10.244.3.2", DSR: true, Config: `C:\k\config.conf`},
		},
		{
			args: `--config=C:\k\config.conf`, read: read(json),
			want: Process{Network: "flannel.4096", SourceVIP: "10.244.3.2", DSR: true, Config: `C:\k\config.conf`},
		},
		{
			args: `--config C:\k\config.conf`, env: "KUBE_NETWORK=cbr0", read: read("winkernel:\n  networkName: \"\"\n  enableDSR: false\n"),
			want: Process{Network: "cbr0", Config: `C:\k\config.conf`},
		},
		{
			args: `--config=C:\k\config.conf`, env: "KUBE_NETWORK=cbr0",
			read: read("winkernel:\n  # networkName: old\n  networkName:\n  sourceVip: 10.244.3.2 # networkName: x\n"),
			want: Process{Network: "cbr0", SourceVIP: "10.244.3.2", Config: `C:\k\config.conf`},
		},
		{args: `--config=C:\k\config.conf`, read: fails, want: Process{Config: `C:\k\config.conf`, Unread: true}},
	}
	for _, tt := range tests {
		t.Run(tt.args+tt.env, func(t *testing.T) {
			args := append([]string{"kube-proxy.exe"}, strings.Fields(tt.args)...)
			tt.want.Args = args
			if diff := cmp.Diff(tt.want, Parse(args, strings.Split(tt.env, "|"), tt.read)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
