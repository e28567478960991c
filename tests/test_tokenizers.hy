"Tokenizers: any text comes back, from any kind; what is broken or a lie is refused in one line."

(import  itertools [islice]
         json
         os
         subprocess
         sys
         time [process-time]
         hypothesis [assume given settings strategies :as st]
         numpy :as np
         pytest
         nanogpt-hy.course [CharTokenizer]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.byte-pairs [library Pieces]
         nanogpt-hy.lab.data.encoding :as encoding
         nanogpt-hy.lab.data.encoding [Decoder encode-array unknown-characters]
         nanogpt-hy.lab.data.gpt2-json :as gpt2-json
         nanogpt-hy.lab.data.gpt2-json [ALPHABET bpe-json]
         nanogpt-hy.lab.data.tokenizers [make-tokenizer read-tokenizer tokenizer-from
                                         tokenizer-json])

(setv TEXT   (* "Der Bär sagt: »Öl, don't!«\r\n\tзима 寒い 🐻\u200d❄️\0 it's  2 x 2 = 4.   \n\n" 4)
      BPE    (make-tokenizer "bpe:300" TEXT)
      KINDS  {"char" (make-tokenizer "char" TEXT)  "byte" (make-tokenizer "byte" "")  "bpe" BPE}
      each   (pytest.mark.parametrize "kind" (list KINDS))
      anything (settings :max-examples 60 :deadline None))

(defn refusal [f #* args #** kw]
  "The one line with which (F ARGS…) is refused."
  (with [caught (pytest.raises RequestError)]
    (f #* args #** kw))
  (setv text (str caught.value))
  (assert (not-in "\n" text))
  (assert (< (len text) 400))
  text)

;;; Round trips

(defn [each] test-its-own-text-comes-back [kind]
  (setv tokenizer (get KINDS kind)
        ids       (.encode tokenizer TEXT))
  (assert (= (.decode tokenizer ids) TEXT))
  (assert (all (gfor  id ids  (and (is (type id) int) (< -1 id tokenizer.vocab-size)))))
  (assert (= (.encode tokenizer "") []))
  (assert (= (.decode tokenizer []) "")))

(defn [(given (st.text)) anything] test-any-text-comes-back [text]
  (for [kind ["byte" "bpe"]]
    (setv tokenizer (get KINDS kind))
    (assert (= (.decode tokenizer (.encode tokenizer text)) text))
    (assert (= (unknown-characters tokenizer text) []))))

(defn [(given (st.text :min-size 1)) anything] test-a-text-of-characters-comes-back [text]
  (setv tokenizer (make-tokenizer "char" text)
        courses   (CharTokenizer text)
        ids       (encode-array tokenizer text))
  (assert (= (.tolist ids) (.encode courses text) (.encode tokenizer text)))
  (assert (= (.decode tokenizer ids) text))
  (assert (= tokenizer.chars courses.chars)))

(defn [each] test-a-state-is-json-and-comes-back [kind]
  (setv tokenizer (get KINDS kind)
        state     (json.loads (json.dumps (.state tokenizer)))
        again     (tokenizer-from state :vocab-size tokenizer.vocab-size))
  (assert (= (get state "kind") kind))
  (assert (= (.state again) state))
  (assert (= again.vocab-size tokenizer.vocab-size))
  (assert (= (.encode again TEXT) (.encode tokenizer TEXT))))

(defn [(given (st.lists (st.integers 0 299))) anything] test-text-comes-as-it-is-complete [ids]
  "Piece by piece it is the same text, also where the ids make no sense."
  (for [tokenizer [(get KINDS "byte") BPE]]
    (setv ids    (lfor  id ids  (% id tokenizer.vocab-size))
          stream (Decoder tokenizer)
          pieces (lfor  id ids  (.feed stream id)))
    (assert (= (+ (.join "" pieces) (.end stream)) (.decode tokenizer ids)))))

(defn [each] test-characters-come-out-whole [kind]
  (setv stream (Decoder (get KINDS kind))
        pieces (lfor  id (.encode (get KINDS kind) TEXT)  (.feed stream id)))
  (assert (= (.join "" pieces) TEXT))
  (assert (= (.end stream) ""))
  (assert (not-in "\ufffd" (.join "" pieces))))

(defn test-half-a-character-shows-at-the-end []
  (setv stream (Decoder (get KINDS "byte")))
  (assert (= (.feed stream 0xe2) ""))
  (assert (= (.end stream) "\ufffd")))

;;; Long texts

(defn [(pytest.mark.parametrize #("size" "kind") [#(5 "uint8") #(256 "uint8") #(257 "uint16")
                                                   #(65536 "uint16") #(65537 "uint32")])]
    test-ids-are-as-narrow-as-may-be [size kind]
  (setv text (.join "" (gfor  code (range 0x100000)
                              :if (not (<= 0xd800 code 0xdfff))
                              (chr code)))
        tokenizer (make-tokenizer "char" (cut text size)))
  (assert (= tokenizer.vocab-size size))
  (setv ids (encode-array tokenizer (cut text size)))
  (assert (= ids.dtype kind))
  (assert (np.array-equal ids (np.arange size))))

(defn [each (given :text (st.text :alphabet "at \n\r\t'ä.2»" :max-size 60))
            (settings :max-examples 40 :deadline None)]
    test-parts-change-no-id [kind text]
  "A long text is encoded in parts, which must not be seen."
  (setv tokenizer (get KINDS kind)
        before    encoding.CHUNK)
  (assume (not (unknown-characters tokenizer text)))
  (setv whole (.encode tokenizer text))
  (try
    (setv encoding.CHUNK 3)
    (assert (= (.encode tokenizer text) whole))
    (assert (= (.join "" (encoding.chunks (encoding.slices text))) text))
    (finally
      (setv encoding.CHUNK before))))

(defn test-a-megabyte-of-characters-takes-no-loop []
  "Well below what a dict look-up for each character takes."
  (setv text      (* "Then say what is true, and stop.\n" 100,000)
        tokenizer (make-tokenizer "char" text))
  (defn seconds [encode]
    (setv started (process-time))
    (encode text)
    (- (process-time) started))
  (assert (< (seconds (fn [text] (encode-array tokenizer text)))
             (/ (seconds tokenizer.course.encode) 4))))

(defn test-a-text-that-cannot-be-cut-may-be-so-long-and-no-longer [monkeypatch]
  (monkeypatch.setattr encoding "MOST_UNCUT" 5)
  (assert (= (list (encoding.chunks ["abc" "de"])) ["abcde"]))
  (assert (in "5 characters without white space" (refusal list (encoding.chunks ["abc" "def"])))))

;;; What is not known

(defn test-unknown-characters-have-places-in-long-texts [monkeypatch]
  "Counted from the text's beginning, not from that of a part."
  (.setattr monkeypatch encoding "CHUNK" 3)
  (setv tokenizer (make-tokenizer "char" "abc"))
  (assert (in "'X', at 4 of the text" (refusal encode-array tokenizer "abcaXb")))
  (assert (in "'X' at 4: out" (refusal encoding.known-text tokenizer "abcaXb" "it" "out"))))

(defn test-unknown-characters-have-places []
  (setv tokenizer (make-tokenizer "char" "abc"))
  (assert (= (unknown-characters tokenizer "aXbéX") [#("X" 1) #("é" 3) #("X" 4)]))
  (assert (= (unknown-characters tokenizer "abccba") []))
  (assert (in "'X', at 1 of" (refusal encode-array tokenizer "aXbé")))
  (assert (in "'X', at 1 of" (refusal tokenizer.encode "aXbé"))))

(defn [(pytest.mark.parametrize "size" [1 2 126 127 128 200 254 255 256 257 300 65535 65536])]
    test-what-is-unknown-is-seen-in-every-vocabulary [size]
  "Whatever number stands for it in the tables, ASCII alone or among other characters."
  (setv others (gfor  code (range 1 0x20000)
                      :if (not (or (<= 0xd800 code 0xdfff) (= code (ord "a"))))
                      (chr code))
        chars  (list (islice others size))
        tokenizer (make-tokenizer "char" (.join "" chars)))
  (assert (= (.tolist (encode-array tokenizer (.join "" chars))) (list (range size))))
  (for [text [(get chars 0) (+ (get chars 0) (get chars -1))]
        unknown ["a" "\U0010ffff"]]
    (assert (in f"{unknown !r}, at {(len text)} of the text"
                (refusal encode-array tokenizer (+ text unknown text))))
    (assert (= (unknown-characters tokenizer (+ text unknown)) [#(unknown (len text))]))))

(defn [each] test-half-a-surrogate-pair-is-unknown [kind]
  "Python makes one of a byte on the command line that is no UTF-8."
  (setv tokenizer (get KINDS kind))
  (for [half ["\ud800" "\udcff" "\udfff"]]
    (assert (= (unknown-characters tokenizer half) [#(half 0)]))
    (assert (in f"{half !r}, at 0 of the text" (refusal tokenizer.encode half)))))

(defn test-the-neighbours-of-surrogates-are-characters []
  (for [kind ["byte" "bpe"]]
    (assert (= (unknown-characters (get KINDS kind) "\ud7ff\ue000") []))))

;;; Pieces

(defn test-pieces-are-what-the-text-repeats []
  (setv text (* "the cat and the hat " 20)
        tokenizer (make-tokenizer "bpe:270" text))
  (assert (<= 257 tokenizer.vocab-size 270))
  (assert (< (len (.encode tokenizer text)) (/ (len text) 2)))
  (assert (in " the" (lfor  id (range tokenizer.vocab-size)  (.decode tokenizer [id])))))

(defn test-what-comes-once-is-no-piece []
  "However many may be learned."
  (assert (= 256 (. (make-tokenizer "bpe:1000000" "Each word stands alone.") vocab-size))))

(defn test-the-library-works-on-one-core-unless-more-are-asked-for [monkeypatch]
  (monkeypatch.setenv "TOKENIZERS_PARALLELISM" "true")
  (library)
  (assert (= (get os.environ "TOKENIZERS_PARALLELISM") "true"))
  (monkeypatch.delenv "TOKENIZERS_PARALLELISM")
  (library)
  (assert (= (get os.environ "TOKENIZERS_PARALLELISM") "false")))

(defn test-pieces-are-the-same-each-time []
  "In another process too, whose hashes are others."
  (setv code "import hy; from nanogpt_hy.lab.data.tokenizers import make_tokenizer as m
import sys; sys.stdout.write(m('bpe:290', sys.stdin.read()).json)"
        texts (lfor  seed ["1" "2"]
                (. (subprocess.run [sys.executable "-c" code] :input TEXT :text True :check True
                                   :encoding "utf-8" :capture-output True
                                   :env {#** os.environ  "PYTHONHASHSEED" seed
                                         "PYTHONIOENCODING" "utf-8"})
                   stdout)))
  (assert (= #* texts))
  (assert (in "merges" (get texts 0))))

(defn test-importing-loads-neither-torch-nor-the-library []
  (setv code "import hy, sys; from nanogpt_hy.lab.data.tokenizers import make_tokenizer as m
m('byte', ''); sys.exit(bool({'torch', 'tokenizers'} & set(sys.modules)))")
  (assert (= 0 (. (subprocess.run [sys.executable "-c" code]) returncode))))

(defn test-without-the-library-there-is-a-line [monkeypatch]
  (monkeypatch.setitem sys.modules "tokenizers" None)
  (assert (in "pip install tokenizers" (refusal make-tokenizer "bpe:300" TEXT))))

(defn [(pytest.mark.parametrize "spec" ["words" "bpe" "bpe:" "bpe:-1" "bpe:256" "bpe:0300000000"
                                        "bpe:1000001" "bpe:300k" "bpe:٣٠٠" "" "char "
                                        "no/such/folder"])]
    test-a-wrong-request-is-refused [spec]
  (assert (refusal make-tokenizer spec TEXT)))

;;; Files of others

(defn write [path value]
  (.write-text path (if (isinstance value str) value (json.dumps value)) :encoding "utf-8")
  path)

(defn gpt2-like []
  "-> a tokenizer.json as transformers' GPT-2 has it, with its one special token."
  (setv spec (json.loads BPE.json))
  (.append (get spec "added_tokens")
    {"id" BPE.vocab-size  "content" "<|endoftext|>"  "single_word" False  "lstrip" False
     "rstrip" False  "normalized" False  "special" True})
  (.update (get spec "model") {"continuing_subword_prefix" ""  "end_of_word_suffix" ""
                               "unk_token" "<|endoftext|>"})
  (setv (get spec "post_processor") {"type" "ByteLevel"  "add_prefix_space" True
                                     "trim_offsets" False  "use_regex" True})
  spec)

(defn test-a-tokenizer-json-is-read [tmp-path]
  (write (/ tmp-path "tokenizer.json") (gpt2-like))
  (for [path [tmp-path (/ tmp-path "tokenizer.json")]]
    (setv tokenizer (read-tokenizer path))
    (assert (= tokenizer.vocab-size (+ BPE.vocab-size 1)))
    (assert (= (.encode tokenizer TEXT) (.encode BPE TEXT)))
    (setv ids (.encode tokenizer "a<|endoftext|>b"))
    (assert (= (get ids 1) BPE.vocab-size))
    (assert (= (.decode tokenizer ids) "a<|endoftext|>b"))
    (assert (= (.encode (make-tokenizer (str path) "") TEXT) (.encode BPE TEXT)))))

(defn [(pytest.mark.parametrize "end" ["\n" "\r\n"])]
    test-the-older-files-are-read [tmp-path end]
  "vocab.json and merges.txt, in which a merge may begin with #."
  (setv text  (+ TEXT (* "## ### " 20))
        made  (make-tokenizer "bpe:300" text)
        model (get (json.loads made.json) "model"))
  (assert (in ["#" "#"] (get model "merges")))
  (write (/ tmp-path "vocab.json") {#** (get model "vocab")  "<|endoftext|>" made.vocab-size})
  (.write-bytes (/ tmp-path "merges.txt")
    (.encode (.join "" (gfor  line ["#version: 0.2" #* (map (fn [pair] (.join " " pair))
                                                            (get model "merges"))]
                              (+ line end)))
             "utf-8"))
  (setv tokenizer (read-tokenizer tmp-path))
  (assert (= (.encode tokenizer text) (.encode made text)))
  (assert (= (.encode tokenizer "<|endoftext|>") [made.vocab-size])))

(defn test-a-tokenizer-json-comes-before-the-older-files [tmp-path]
  (write (/ tmp-path "vocab.json") ALPHABET)
  (write (/ tmp-path "merges.txt") "")
  (assert (= 256 (. (read-tokenizer tmp-path) vocab-size)))
  (write (/ tmp-path "tokenizer.json") BPE.json)
  (assert (= BPE.vocab-size (. (read-tokenizer tmp-path) vocab-size))))

(defn test-added-tokens-come-in-any-order [tmp-path]
  (setv spec   (gpt2-like)
        tokens (lfor  [i name] (enumerate ["<x>" "<y>"])
                 {"id" (+ BPE.vocab-size i)  "content" name})
        (get spec "added_tokens") (list (reversed tokens)))
  (setv tokenizer (read-tokenizer (write (/ tmp-path "tokenizer.json") spec)))
  (assert (= (.encode tokenizer "<x><y>") (lfor  token tokens  (get token "id")))))

(defn test-whether-a-token-is-special-is-kept []
  "Other programs leave special ones out of their text, and no others."
  (setv spec (gpt2-like)
        (get spec "added_tokens") (lfor  [i special] (enumerate [True False])
                                    {"id" (+ BPE.vocab-size i)  "content" f"<{i}>"
                                     "special" special}))
  (setv again (json.loads (tokenizer-json (Pieces (json.dumps spec)))))
  (assert (= [True False] (lfor  token (get again "added_tokens")  (get token "special")))))

(defn test-a-space-before-the-text-comes-once []
  "Also before a text that is long enough to be cut."
  (setv spec (json.loads (. (make-tokenizer "bpe:300" (* "hello world\n" 50)) json))
        (get spec "pre_tokenizer" "add_prefix_space") True
        pieces (Pieces (json.dumps spec))
        text   (* "hello\n" 40,000))
  (assert pieces.whole)
  (assert (= (.decode pieces (.encode pieces "hello")) " hello"))
  (assert (= (.encode pieces "hello") (.encode pieces " hello")))
  (assert (= (.encode pieces text)
             (. (.encode pieces.model text :add-special-tokens False) ids))))

(defn test-merges-in-the-old-form [tmp-path]
  (setv spec  (gpt2-like)
        model (get spec "model"))
  (setv (get model "merges") (lfor  [a b] (get model "merges") f"{a} {b}"))
  (write (/ tmp-path "tokenizer.json") spec)
  (assert (= (.encode (read-tokenizer tmp-path) TEXT) (.encode BPE TEXT))))

(defn [each] test-the-json-we-write-means-the-same [tmp-path kind]
  "To the library itself, and to us when it comes back."
  (import tokenizers [Tokenizer])
  (setv ours   (get KINDS kind)
        path   (write (/ tmp-path "tokenizer.json") (tokenizer-json ours))
        theirs (Tokenizer.from-file (str path))
        ids    (. (.encode theirs TEXT) ids))
  (assert (= ids (.encode ours TEXT) (.encode (read-tokenizer path) TEXT)))
  (assert (= (.decode theirs ids) TEXT)))

(defn test-ids-without-a-token []
  "A model may have rows to spare; they stand for nothing."
  (assert (= (.decode BPE [BPE.vocab-size 999]) "\ufffd\ufffd"))
  (assert (= (.decode (make-tokenizer "byte" "") [97 256 999]) "a\ufffd\ufffd")))

(defn changed [#* path value]
  "The JSON of a sound tokenizer in which the place PATH holds VALUE."
  (setv spec  (gpt2-like)
        place spec)
  (for [key (cut path -1)]
    (setv place (get place key)))
  (setv (get place (get path -1)) value)
  (json.dumps spec))

(defn other-vocab [#** tokens]
  "The JSON of a sound tokenizer with more TOKENS in its vocabulary."
  (changed "model" "vocab" :value {#** (get (gpt2-like) "model" "vocab")  #** tokens}))

(defn other-added [#** values]
  "The JSON of a sound tokenizer with one added token of these VALUES."
  (changed "added_tokens" :value [{"id" 301  "content" "<x>"  #** values}]))

(defn other-merge [#* pair]
  "The JSON of a sound tokenizer whose only merge is PAIR."
  (changed "model" "merges" :value [(list pair)]))

(setv TOKEN {"id" 301  "content" "<x>"}
      LIES {"broken"           ["that cannot be read"     "{\"model\": "]
            "no object"        ["that is no JSON object"  "[]"]
            "deep"             ["nested too deeply"       (* "[" 100,000)]
            "empty"            ["the type None, not BPE"  "{}"]
            "surrogate"        ["no content or no id"     (other-added :content "\ud800")]
            "another model"    ["'Unigram', not BPE"      (changed "model" "type" :value "Unigram")]
            "dropout"          ["has dropout,"            (changed "model" "dropout" :value 0.1)]
            "prefix"           ["has continuing_subword_prefix,"
                                (changed "model" "continuing_subword_prefix" :value "##")]
            "suffix"           ["has end_of_word_suffix,"
                                (changed "model" "end_of_word_suffix" :value "</w>")]
            "bytes as words"   ["has byte_fallback,"  (changed "model" "byte_fallback" :value True)]
            "words as they are" ["has ignore_merges,"
                                 (changed "model" "ignore_merges" :value True)]
            "normalizer"       ["changes the text"
                                (changed "normalizer" :value {"type" "Lowercase"})]
            "regex"            ["does not cut text"
                                (changed "pre_tokenizer"
                                  :value {"type" "Split"  "behavior" "Isolated"  "invert" False
                                          "pattern" {"Regex" "(a+)+$"}})]
            "no regex"         ["does not cut text"
                                (changed "pre_tokenizer" "use_regex" :value False)]
            "no pre_tokenizer" ["does not cut text"       (changed "pre_tokenizer" :value None)]
            "vocab a list"     ["lacks 256 of the 256"    (changed "model" "vocab" :value ["a"])]
            "bytes missing"    ["lacks 255 of the 256"    (changed "model" "vocab" :value {"a" 0})]
            "id a text"        ["'ab' with the id '7'"    (other-vocab :ab "7")]
            "id true"          ["'ab' with the id True"   (other-vocab :ab True)]
            "id negative"      ["'ab' with the id -1"     (other-vocab :ab -1)]
            "id too large"     ["'ab' with the id 1000000"  (other-vocab :ab 1,000,000)]
            "id huge"          ["'ab' with the id 1000"   (other-vocab :ab (** 10 30))]
            "id twice"         ["one id to two tokens"    (other-vocab :ab 5)]
            "no bytes"         ["stands for no bytes"     (other-vocab :寒 301)]
            "empty token"      ["token '', which stands"  (other-vocab #** {"" 301})]
            "merges a dict"    ["no list of merges"       (changed "model" "merges" :value {"a" 1})]
            "merge of three"   ["no pairs of tokens"      (other-merge "a" "b" "c")]
            "merge of numbers" ["no pairs of tokens"      (other-merge 1 2)]
            "merge to nothing" ["merges 'Q' and 'Z'"      (other-merge "Q" "Z")]
            "merge of nothing" ["merges '' and 'Q'"       (other-merge "" "Q")]
            "nothing merged"   ["merges 'Q' and ''"       (other-merge "Q" "")]
            "added no id"      ["no content or no id"     (other-added :id None)]
            "added empty"      ["no content or no id"     (other-added :content "")]
            "added no dict"    ["no content or no id"     (changed "added_tokens" :value [7])]
            "added twice"      ["one id to two tokens"
                                (changed "added_tokens"
                                  :value [TOKEN {#** TOKEN  "content" "<y>"}])]
            "added again"      ["two ids to an added"     (other-added :content "a")]
            "added far away"   ["'<x>' out of turn"       (other-added :id 900,000)]
            "added swallows"   ["swallows white space"    (other-added :lstrip True)]
            "swallows right"   ["swallows white space"    (other-added :rstrip True)]
            "swallows words"   ["swallows white space"    (other-added :single-word True)]})

(defn [(pytest.mark.parametrize "lie" (list LIES))] test-a-lie-is-refused [tmp-path lie]
  (setv [words text] (get LIES lie)
        path (write (/ tmp-path "tokenizer.json") text))
  (setv said (refusal read-tokenizer path))
  (assert (in words said))
  (assert (in (str tmp-path) said))
  (assert (in "use char, byte, bpe:N" said))
  (setv said (refusal tokenizer-from {"kind" "bpe"  "json" text}))
  (assert (and (in words said) (in "the checkpoint" said))))

(defn test-a-huge-one-is-refused [monkeypatch tmp-path]
  (monkeypatch.setattr gpt2-json "MOST_JSON" 1000)
  (refusal tokenizer-from {"kind" "bpe"  "json" BPE.json})
  (assert (refusal read-tokenizer (write (/ tmp-path "tokenizer.json") BPE.json))))

(defn [(pytest.mark.parametrize "state" [
        None [] {} {"kind" 7} {"kind" ["char"]} {"kind" "words"} {"kind" "char"}
        {"kind" "char"  "chars" []} {"kind" "char"  "chars" ["b" "a"]}
        {"kind" "char"  "chars" ["a" "a"]} {"kind" "char"  "chars" ["ab"]}
        {"kind" "char"  "chars" [1 2]} {"kind" "char"  "chars" ["\ud800"]}
        {"kind" "char"  "chars" {"a" 1}} {"kind" "bpe"} {"kind" "bpe"  "json" {"a" 1}}])]
    test-a-wrong-state-is-refused [state]
  (assert (in "the checkpoint" (refusal tokenizer-from state))))

(defn [each] test-more-ids-than-the-model-has-are-refused [kind]
  (setv tokenizer (get KINDS kind)
        state     (.state tokenizer)
        count     tokenizer.vocab-size)
  (assert (in f"{count} ids for a model of {(- count 1)}"
              (refusal tokenizer-from state :vocab-size (- count 1))))
  (if (= kind "char")
    (assert (in f"{count} ids for a model of {(+ count 5)}"
                (refusal tokenizer-from state :vocab-size (+ count 5))))
    (assert (= count (. (tokenizer-from state :vocab-size (+ count 5)) vocab-size)))))

(defn test-a-folder-without-files-is-refused [tmp-path]
  (refusal read-tokenizer tmp-path)
  (write (/ tmp-path "vocab.json") (dfor  char ALPHABET  char (get ALPHABET char)))
  (assert (in "merges.txt" (refusal read-tokenizer tmp-path)))
  (write (/ tmp-path "merges.txt") "#version: 0.2\na b c\n")
  (assert (refusal read-tokenizer tmp-path)))

(defn test-merges-that-are-cut-short-are-refused [tmp-path]
  (write (/ tmp-path "vocab.json") (get (json.loads BPE.json) "model" "vocab"))
  (write (/ tmp-path "merges.txt") "")
  (assert (in "cut short" (refusal read-tokenizer tmp-path)))
  (write (/ tmp-path "vocab.json") {#** ALPHABET  "<a>b" 256})          ; no added token's name
  (assert (in "makes no '<a>b'" (refusal read-tokenizer tmp-path))))

(defn test-ids-that-are-no-numbers-are-refused [tmp-path]
  (write (/ tmp-path "vocab.json") {"<a>" 1  "<b>" "x"})
  (write (/ tmp-path "merges.txt") "")
  (assert (in "'<b>'" (refusal read-tokenizer tmp-path))))

(defn [(pytest.mark.parametrize "vocab" [{"b" 0  "a" 1} {"a" 0  "bc" 1} {"a" 1} {} {"a" "0"}])]
    test-words-that-are-no-characters-are-refused [tmp-path vocab]
  (setv spec (json.loads (tokenizer-json (get KINDS "char"))))
  (setv (get spec "model" "vocab") vocab)
  (assert (refusal read-tokenizer (write (/ tmp-path "tokenizer.json") spec))))

(defn [(pytest.mark.parametrize #("key" "value") [#("normalizer" {"type" "Lowercase"})
                                                  #("added_tokens" [{"id" 99  "content" "<x>"}])])]
    test-more-than-characters-is-refused [tmp-path key value]
  (setv spec {#** (json.loads (tokenizer-json (get KINDS "char")))  key value})
  (assert (in "not single characters"
              (refusal read-tokenizer (write (/ tmp-path "tokenizer.json") spec)))))

(defn test-bytes-alone-are-a-gpt2-tokenizer []
  (setv tokenizer (tokenizer-from {"kind" "bpe"  "json" (bpe-json ALPHABET [] [])}))
  (assert (= (.encode tokenizer TEXT) (.encode (get KINDS "byte") TEXT))))
