package compose

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"skiff/cli/recipe"
	"skiff/docker/buildcontext"
)

// Build is how the image of a service is made.
type Build = recipe.Recipe

func (s *service) addBuild(image string) {
	b := s.Build
	path := s.at("build")
	s.others(path, b, buildFields)
	if strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") {
		s.refuse(append(path, "context"), "is not a folder of this machine")
	}
	if len(b.Platforms) > 1 {
		s.refuse(append(path, "platforms"), "an image is built for one platform")
	}
	platform := s.Platform
	if len(b.Platforms) == 1 {
		platform = b.Platforms[0]
	}
	dockerfile, inline := s.dockerfile(path, b)
	hosts := b.ExtraHosts.AsList(":")
	slices.Sort(hosts)
	s.app.Builds = append(s.app.Builds, Build{Service: s.Name, Container: s.object, Image: image, Where: s.of(path...), Always: s.PullPolicy == types.PullPolicyBuild, Spec: buildcontext.Spec{
		Context: b.Context, Dockerfile: dockerfile, Inline: inline, Args: b.Args, Target: b.Target, Platform: platform, Network: b.Network,
		Tags: append([]string{image}, b.Tags...), CacheFrom: b.CacheFrom, ExtraHosts: hosts, Labels: b.Labels, NoCache: b.NoCache, Pull: b.Pull, SharedMemory: int64(b.ShmSize),
		Secrets: s.buildSecrets(path, b),
	}})
}

// buildSecrets are the secrets that the build may read, by the IDs that the Dockerfile has for them.
func (s *service) buildSecrets(path []string, b *types.BuildConfig) map[string][]byte {
	var out map[string][]byte
	for _, used := range b.Secrets {
		value, found := s.contents["secrets/"+used.Source]
		if !found {
			s.refuse(append(path, "secrets"), "the value of %s is not known here: an external secret is known to the cluster alone", used.Source)
			continue
		}
		if out == nil {
			out = map[string][]byte{}
		}
		out[cmp.Or(used.Target, used.Source)] = value
	}
	return out
}

// dockerfile is the Dockerfile's path in the context, or its text where it lies outside.
func (s *service) dockerfile(path []string, b *types.BuildConfig) (name, inline string) {
	if b.DockerfileInline != "" || b.Dockerfile == "" {
		return "", b.DockerfileInline
	}
	file := b.Dockerfile
	if !filepath.IsAbs(file) {
		file = filepath.Join(b.Context, file)
	}
	rel, err := filepath.Rel(b.Context, file)
	if err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel), ""
	}
	text, err := os.ReadFile(file)
	if err != nil {
		s.refuse(append(path, "dockerfile"), "%v", err)
	}
	return "", string(text)
}
