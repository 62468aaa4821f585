// SPDX-License-Identifier: Apache-2.0

package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is a name that manifests have for an image, and what it runs when a pod does not
// say. The program is one of the file tree that all containers have.
type image struct {
	ref             string
	entrypoint, cmd []string
}

// known are the images that a node has. What they run are Linux programs that stand in for
// those of the image of that name.
var known = []image{
	{"registry.k8s.io/pause:3.10", []string{"/pause"}, nil},
	{"registry.k8s.io/pause:3.10.1", []string{"/pause"}, nil},
	{"registry.k8s.io/pause:3.10.2", []string{"/pause"}, nil},
	{"mcr.microsoft.com/oss/kubernetes/pause:3.9", []string{"/pause"}, nil},
	{"registry.k8s.io/e2e-test-images/agnhost:2.53", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.55", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.56", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.59", []string{"/agnhost"}, []string{"pause"}},
	{"registry.k8s.io/e2e-test-images/agnhost:2.63.0", []string{"/agnhost"}, []string{"pause"}},
	{dnsImage, []string{"/" + dnsProgram}, nil},
	{"registry.k8s.io/e2e-test-images/busybox:1.37.0-1", nil, []string{"sh"}},
	{"registry.k8s.io/e2e-test-images/busybox:1.36.1-1", nil, []string{"sh"}},
	{"registry.k8s.io/e2e-test-images/glibc-dns-testing:2.0.0", nil, []string{"sh"}},
	{"docker.io/library/busybox:latest", nil, []string{"sh"}},
	{"docker.io/library/busybox:1.37", nil, []string{"sh"}},
	{"docker.io/library/nginx:latest", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.14-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.15-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/nginx:1.27-0", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"registry.k8s.io/e2e-test-images/httpd:2.4.38-4", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
	{"mcr.microsoft.com/windows/nanoserver:ltsc2022", nil, []string{"sh"}},
	{"mcr.microsoft.com/windows/servercore:ltsc2022", nil, []string{"sh"}},
	{"mcr.microsoft.com/windows/servercore/iis:windowsservercore-ltsc2022", []string{"/agnhost"}, []string{"netexec", "--http-port=80"}},
}

// dnsImage is what a cluster's name server runs, once Conformance has built it.
const dnsImage = "registry.k8s.io/coredns/coredns:latest"

const dnsProgram = "coredns"

// SandboxImage is what containerd is told to start for a pod.
const SandboxImage = "registry.k8s.io/pause:3.10.2"

// Images is the archive of images in a folder of programs, Root the file tree of their
// containers.
func Images(dir string) string { return filepath.Join(dir, "images.tar") }

// Root returns the file tree of all containers in a folder of programs.
func Root(dir string) string { return filepath.Join(dir, "root") }

// images makes the archive of images and the file tree.
func (b Builder) images() error {
	if err := writeImages(Images(b.Dir())); err != nil {
		return fmt.Errorf("make the images: %w", err)
	}
	if err := b.root(Root(b.Dir())); err != nil {
		return fmt.Errorf("make the containers' files: %w", err)
	}
	return nil
}

// writeImages writes an OCI archive. Every image has the one layer that a Windows base
// image needs at least, of folders alone: Wine has no BackupWrite for files.
func writeImages(file string) error {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"Files", "Files/Windows", "Files/Windows/System32", "Files/Windows/System32/config"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	a := archive{blobs: map[string][]byte{}}
	content := a.put(ocispec.MediaTypeImageLayer, layer.Bytes())
	// Without a version of Windows the images are for every one.
	platform := ocispec.Platform{Architecture: "amd64", OS: "windows"}
	var manifests []ocispec.Descriptor
	for _, i := range known {
		config, err := a.putJSON(ocispec.MediaTypeImageConfig, ocispec.Image{
			Author: i.ref, Platform: platform,
			Config: ocispec.ImageConfig{Entrypoint: i.entrypoint, Cmd: i.cmd, User: "ContainerUser"},
			RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{content.Digest}},
		})
		if err != nil {
			return err
		}
		m, err := a.putJSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: config, Layers: []ocispec.Descriptor{content},
		})
		if err != nil {
			return err
		}
		m.Platform = &platform
		m.Annotations = map[string]string{"io.containerd.image.name": i.ref, ocispec.AnnotationRefName: i.ref}
		manifests = append(manifests, m)
	}
	index, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests})
	if err != nil {
		return err
	}
	return a.write(file, index)
}

// archive collects the blobs of an OCI archive.
type archive struct{ blobs map[string][]byte }

func (a archive) put(mediaType string, b []byte) ocispec.Descriptor {
	d := digest.FromBytes(b)
	a.blobs[d.Encoded()] = b
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (a archive) putJSON(mediaType string, v any) (ocispec.Descriptor, error) {
	text, err := json.Marshal(v)
	return a.put(mediaType, text), err
}

func (a archive) write(file string, index []byte) error {
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	add := func(name string, b []byte) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b))}); err != nil {
			return err
		}
		_, err := t.Write(b)
		return err
	}
	if err := add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := add("index.json", index); err != nil {
		return err
	}
	for sum, b := range a.blobs {
		if err := add("blobs/sha256/"+sum, b); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	// A node of another cluster may be reading it.
	if err := os.WriteFile(file+".new", out.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
