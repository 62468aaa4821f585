// SPDX-License-Identifier: Apache-2.0

package install

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDirsOf(t *testing.T) {
	defaults := Dirs{Bin: `C:\bin`, Conf: `C:\conf`}
	tests := []struct {
		name, text, imported string
		want                 Dirs
		wantErr              string
	}{
		{name: "no file", want: defaults},
		{name: "nothing said", text: "version = 3\n", want: defaults},
		{
			name: "version 2", text: "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = 'D:\\cni'\nconf_dir = 'D:\\conf'\n",
			want: Dirs{Bin: `D:\cni`, Conf: `D:\conf`},
		},
		{
			name: "version 3", text: "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = 'D:\\cni'\nconf_dir = ''\n",
			want: Dirs{Bin: `D:\cni`, Conf: `C:\conf`},
		},
		{
			name: "version 4", text: "version = 4\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['D:\\cni', 'D:\\more']\nbin_dir = 'D:\\old'\n",
			want: Dirs{Bin: `D:\cni`, Conf: `C:\conf`},
		},
		{
			name: "another version's section counts for nothing", text: "version = 3\n[plugins.'io.containerd.grpc.v1.cri'.cni]\nbin_dir = 'D:\\cni'\n",
			want: defaults,
		},
		{
			name: "Hyper-V", text: "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.hv]\ncni_conf_dir = 'C:\\hv'\n" +
				"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.hv.options]\nSandboxIsolation = 1\n" +
				"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.wcow]\ncni_conf_dir = 'C:\\other'\n",
			want: Dirs{Bin: `C:\bin`, Conf: `C:\conf`, HyperV: `C:\hv`},
		},
		{
			name: "Hyper-V, by containerd's own handler", text: "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs-wcow-hypervisor]\ncni_conf_dir = 'C:\\hv'\n",
			want: Dirs{Bin: `C:\bin`, Conf: `C:\conf`, HyperV: `C:\hv`},
		},
		{
			name: "an import has the last word", text: "version = 3\nimports = ['more/*.toml']\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = 'D:\\cni'\nconf_dir = 'D:\\conf'\n",
			imported: "[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = 'E:\\conf'\n",
			want:     Dirs{Bin: `D:\cni`, Conf: `E:\conf`},
		},
		{name: "version 1", text: "[plugins.cri.cni]\nbin_dir = 'D:\\cni'\n", wantErr: "of version 0, and 2, 3 and 4 are known"},
		{name: "a later version", text: "version = 5\n", wantErr: "of version 5"},
		{name: "damaged", text: "version = \n", wantErr: "config.toml"},
		{name: "damaged import", text: "version = 3\nimports = ['more/*.toml']\n", imported: "[[[", wantErr: "more.toml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "config.toml")
			if tt.text != "" {
				writeFile(t, path, tt.text)
			}
			if tt.imported != "" {
				writeFile(t, filepath.Join(filepath.Dir(path), "more", "more.toml"), tt.imported)
			}
			got, err := DirsOf(path, defaults)
			if tt.wantErr != "" {
				if !errors.Is(err, ErrContainerd) || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("got %v, want an ErrContainerd with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
