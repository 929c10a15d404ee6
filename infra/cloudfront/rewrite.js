// CloudFront function (cloudfront-js-2.0, viewer request) for the paths that are WebSockets.
//
// The URL of a WebSocket API has a stage and a query, and no path of its own. So the URL that the
// client opened, path and query as they came, goes into one parameter: `rivetless-url`, percent-
// encoded as a whole. API Gateway takes URLs of 4,096 characters; for a longer one the parameter is
// `rivetless-refused`, since an upgrade that fails ends the client's attempts for good, while a
// socket that opens can be told why. What reads it is rivetless/hosts/aws_lambda/websocket.py.

var STAGE = 'live';
var MAX_URL = 3900;

function handler(event) {
    var request = event.request;
    var upgrade = request.headers.upgrade;
    if (!upgrade || upgrade.value.toLowerCase() !== 'websocket') {
        return noSocket();
    }
    var query = rawQuery(request);
    var value = encoded(query === '' ? request.uri : request.uri + '?' + query);
    request.uri = '/' + STAGE;
    if (value === null || value.length > MAX_URL) {
        request.querystring = { 'rivetless-refused': { value: 'url_too_long' } };
    } else {
        request.querystring = { 'rivetless-url': { value: value } };
    }
    return request;
}

// The query byte for byte where the runtime can tell it, else put together from its parameters.
function rawQuery(request) {
    if (typeof request.rawQueryString === 'function') {
        return request.rawQueryString() || '';
    }
    var pairs = [];
    Object.keys(request.querystring).forEach(function (name) {
        var parameter = request.querystring[name];
        (parameter.multiValue || [parameter]).forEach(function (one) {
            pairs.push(one.value === '' ? name : name + '=' + one.value);
        });
    });
    return pairs.join('&');
}

function encoded(url) {
    try {
        return encodeURIComponent(url);
    } catch (error) {
        return null;
    }
}

function noSocket() {
    var message = 'This path is for WebSockets. Paths of raw requests that end like it go to the HTTP endpoint.';
    return {
        statusCode: 404,
        statusDescription: 'Not Found',
        headers: { 'content-type': { value: 'application/json' } },
        body: JSON.stringify({ group: 'guard', code: 'no_route', message: message })
    };
}
