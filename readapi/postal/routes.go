package postal

import "github.com/bgce/archive/platform/rest"

// Routes is the room's read API, one line per question.
func Routes(api *rest.API) {
	rest.Get[ListPosts](api, "/api/v1/posts", "public")
	rest.Get[ReadPost](api, "/api/v1/posts/{id}", "public")
	rest.Get[ReadPostBySlug](api, "/api/v1/posts/slug/{slug}", "public")
	rest.Get[ListVersions](api, "/api/v1/posts/{id}/versions", "owner|editor")
	rest.Get[ReadVersion](api, "/api/v1/posts/{id}/versions/{version}", "owner|editor")
	rest.Get[DiffVersions](api, "/api/v1/posts/{id}/versions/{version}/diff", "owner|editor")
	rest.Get[ListTags](api, "/api/v1/tags", "public")
	rest.Get[ReadTag](api, "/api/v1/tags/{slug}", "public")
}
