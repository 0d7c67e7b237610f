"""The public interface as documents: OpenAPI, AsyncAPI, their pages and the typed client, generated from the code."""
