// SPDX-License-Identifier: Apache-2.0

package node

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// registry serves an archive of images as every registry of the world, to whoever asks with
// containerd's mirror convention: pods whose image is to be pulled always find it, too
// (OCI distribution specification, "Pull").
type registry struct {
	blobs map[string][]byte             // by digest
	index map[string]ocispec.Descriptor // by reference, and by digest
}

func openRegistry(file string) (registry, error) {
	r := registry{map[string][]byte{}, map[string]ocispec.Descriptor{}}
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	var index ocispec.Index
	for t := tar.NewReader(f); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, err
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return r, err
		}
		switch {
		case h.Name == "index.json":
			err = json.Unmarshal(text, &index)
		case strings.HasPrefix(h.Name, "blobs/sha256/"):
			r.blobs["sha256:"+path.Base(h.Name)] = text
		}
		if err != nil {
			return r, err
		}
	}
	for _, m := range index.Manifests {
		r.index[m.Annotations[ocispec.AnnotationRefName]] = m
		r.index[m.Digest.String()] = m
	}
	return r, nil
}

// ServeHTTP answers a pull.
func (r registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name := strings.TrimPrefix(q.URL.Path, "/v2/")
	if name == "" {
		return // the version is told by the status
	}
	_, digest, isBlob := strings.Cut(name, "/blobs/")
	mediaType := "application/octet-stream"
	if !isBlob {
		repository, reference, _ := strings.Cut(name, "/manifests/")
		m, ok := r.index[reference]
		if !ok {
			m, ok = r.index[fmt.Sprintf("%s/%s:%s", q.URL.Query().Get("ns"), repository, reference)]
		}
		if !ok {
			http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such image on this emulated node; test/cluster/build/image.go lists those that there are"}]}`, http.StatusNotFound)
			return
		}
		digest, mediaType = m.Digest.String(), m.MediaType
	}
	text, ok := r.blobs[digest]
	if !ok {
		http.NotFound(w, q)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if q.Method != http.MethodHead {
		_, _ = w.Write(text) // who does not read it asks again
	}
}
